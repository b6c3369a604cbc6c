function render({ model, el }) {
  let close = mount(model, el);
  // The graph is sent again when stacks of cards are opened or folded.
  const again = () => {
    const focused = el.contains(document.activeElement) ? document.activeElement.dataset?.node : null;
    close();
    close = mount(model, el, focused);
  };
  model.on("change:graph", again);
  return () => {
    model.off("change:graph", again);
    close();
  };
}

function mount(model, el, focused) {
  const graph = model.get("graph");
  const stacks = new Set(graph.nodes.filter(({ stack }) => stack).map(({ id }) => id));
  const root = make("div", "xtyl");
  const style = make("style", "", `.xtyl-still-${graph.key}{display:none!important}`);
  const notice = make("div", "notice failed");
  const told = make("div", "notice paused");
  for (const line of [notice, told]) line.setAttribute("role", "alert");
  const tell = (text, state = "paused") => {
    told.className = `notice ${state}`;
    told.replaceChildren(make("span", "", text), button("Dismiss", () => tell(""), "quiet"));
    told.hidden = !text;
  };
  tell("");
  let [selected, before, timer] = [null, null, null];

  const { ask, close } = controls(model, graph.run, tell);
  const act = (kind) => ask(kind, {}, (answer) => {
    if (!answer.ok) tell([answer.error, answer.hint].filter(Boolean).join("\n"), "failed");
  });
  const refold = (node) => model.send({ kind: "fold", node });
  const choose = (id) => {
    if (stacks.has(id)) return refold(id);
    selected = id === selected ? null : id;
    graphic.select(selected);
    tick();
  };
  const top = header(graph, act);
  const graphic = stage(graph, choose, refold);
  const review = reviews(ask, tell);
  const times = timeline(graph, choose, ask);
  const panel = details(graph, choose, ask);
  const foot = make("div", "foot");
  foot.append(review.box, times.box, panel.box);
  root.append(style, top.bar, notice, told, graphic.box, foot);
  el.replaceChildren(root);
  // JupyterLab takes single letters for its own, such as b for a new cell, wherever no text is written.
  const guard = ({ target, ctrlKey, metaKey, altKey }) =>
    root.toggleAttribute("data-lm-suppress-shortcuts", root.contains(target) && !ctrlKey && !metaKey && !altKey);
  window.addEventListener("keydown", guard, true);

  function tick() {
    const state = model.get("state");
    const running = state.started && !isOver(state);
    const elapsed = state.elapsed + (running ? (performance.now() - (state.at ?? performance.now())) / 1000 : 0);
    top.tick(state, elapsed);
    graphic.tick(elapsed);
    times.box.hidden = selected !== null;
    panel.box.hidden = selected === null;
    if (selected === null) times.update(state, elapsed);
    else panel.update(selected, state, elapsed);
    clearTimeout(timer);
    if (running) timer = setTimeout(tick, 1000);
  }
  function update() {
    const state = model.get("state");
    top.update(state, before);
    graphic.update(state, before);
    review.update(state);
    foot.classList.toggle("two", !review.box.hidden);
    const wrong = state.trouble ?? state.error;
    notice.textContent = wrong ?? "";
    notice.hidden = !wrong;
    before = state;
    tick();
  }

  const view = crypto.randomUUID?.() ?? String(Math.random());
  const sizes = new ResizeObserver(() => graphic.fit());
  sizes.observe(graphic.box);
  model.on("change:state", update);
  update();
  if (focused) graphic.focus(focused);
  model.send({ kind: "opened", view });
  return () => {
    clearTimeout(timer);
    window.removeEventListener("keydown", guard, true);
    sizes.disconnect();
    model.off("change:state", update);
    close();
    model.send({ kind: "closed", view });
  };
}

export default { initialize, render };
