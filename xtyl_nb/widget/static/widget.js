function render({ model, el }) {
  const first = model.get("graph");
  const view = crypto.randomUUID?.() ?? String(Math.random());
  const root = make("div", "xtyl");
  root.tabIndex = -1;
  const style = make("style", "", `.xtyl-still-${first.key}{display:none!important}`);
  const notice = make("div", "notice failed");
  notice.setAttribute("role", "alert");
  const [standing, told] = [line(), line()];
  let [graph, graphic, selected, before, timer, since] = [first, null, null, null, null, null];

  // Without a kernel nothing is known of the run: its clock stops, and says since when.
  const stale = (isStale) => {
    since = isStale ? since ?? { time: new Date(), at: performance.now() } : null;
    root.classList.toggle("stale", isStale);
    top.stale(since?.time);
    tick();
  };
  const { ask, close } = kernel(model, first.run, view, standing.tell, stale);
  const still = keeper(model, first.key, ask);
  const act = (kind) => {
    told.tell("");
    ask(kind, {}, (answer) => {
      if (!answer.ok) told.tell([answer.error, answer.hint].filter(Boolean).join("\n"), "failed");
    });
  };
  const refold = (node) => model.send({ kind: "fold", node });
  const choose = (id) => {
    if (graph.nodes.some((node) => node.id === id && node.stack)) return refold(id);
    selected = id === selected && tabs.current() === "node" ? null : id;
    graphic.select(selected);
    if (selected === null) tabs.close("node");
    tick();
    if (selected !== null) tabs.choose("node");
  };
  const leave = Object.assign(() => root.focus({ preventScroll: true }), { holds: () => active(root) === root });
  const top = header(first, act, () => tabs.choose("review"));
  const enlarge = enlarger(root, ask);
  const review = reviews(first.key, ask, leave, enlarge, () => turn());
  const times = timeline(choose, ask);
  const events = eventLog(ask);
  // A click on a row elsewhere leads to its job, or to what waits for a person there.
  const open = (node, row, { state, item }) => {
    if (state === "waiting" && review.goTo(`${node}/${item}`)) return tabs.choose("review");
    if (selected !== node || tabs.current() !== "node") choose(node);
    if (item !== null && selected === node) panel.look(item);
  };
  const table = matrix(ask, open);
  const made = results(ask, enlarge, open);
  const panel = details(first.words, choose, ask, enlarge);
  const tabs = tabbed(first.key, [
    { name: "review", label: "Review", box: review.box },
    { name: "results", label: "Results", box: made.box },
    { name: "rows", label: "Rows", box: table.box },
    { name: "timeline", label: "Timeline", box: times.box },
    { name: "events", label: "Events", box: events.box },
    { name: "node", label: "", box: panel.box },
  ], () => tick());
  const sizes = new ResizeObserver(() => graphic.fit());
  root.append(style, top.bar, notice, standing.box, told.box, tabs.box);
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || selected === null) return;
    const was = selected;
    choose(null);
    graphic.focus(was);
    event.preventDefault();
    event.stopPropagation();
  });
  el.replaceChildren(root);

  // The graph is sent again when stacks of cards are opened or folded. The panel and unfinished decisions beside it stay.
  function draw() {
    graph = model.get("graph");
    const focused = graphic?.box.contains(active(root)) ? active(root).dataset.node : null;
    graphic?.box.remove();
    sizes.disconnect();
    graphic = stage(graph, choose, refold);
    root.insertBefore(graphic.box, tabs.box);
    sizes.observe(graphic.box);
    if (!graph.nodes.some(({ id, stack }) => id === selected && !stack)) selected = null;
    graphic.select(selected);
    times.redraw(graph);
    panel.redraw(graph);
    before = null;
    update();
    if (focused) graphic.focus(focused);
  }

  // Outside of text fields, JupyterLab takes single letters as its own commands, such as b for a new cell.
  const guard = ({ target, ctrlKey, metaKey, altKey }) =>
    root.toggleAttribute("data-lm-suppress-shortcuts", root.contains(target) && !ctrlKey && !metaKey && !altKey);
  window.addEventListener("keydown", guard, true);

  // What waits for a person presses most; once a run is over, what came out does.
  function turn() {
    const state = model.get("state");
    const badge = isOver(state) ? "" : state.reviews_total || "";
    const name = graph.nodes.find(({ id }) => id === selected)?.name;
    tabs.update({
      review: { hidden: review.isEmpty(), badge },
      node: { hidden: selected === null, label: name ?? "" },
    }, !review.isEmpty() ? "review" : isOver(state) ? "results" : "timeline");
  }

  function tick() {
    const state = model.get("state");
    const running = state.started && !isOver(state);
    const now = since ? since.at : performance.now();
    const elapsed = state.elapsed + (running ? (now - (state.at ?? now)) / 1000 : 0);
    top.tick(state, elapsed);
    graphic.tick(elapsed);
    turn();
    const shown = tabs.current();
    if (shown === "timeline") times.update(state, elapsed);
    if (shown === "results") made.update(state);
    if (shown === "rows") table.update(state);
    if (shown === "events") events.touch(state);
    if (shown === "node") panel.update(selected, state, elapsed);
    clearTimeout(timer);
    if (running && !since) timer = setTimeout(tick, 1000);
  }
  function update() {
    const state = model.get("state");
    top.update(state, before);
    graphic.update(state, before);
    review.update(state);
    const wrong = state.trouble ?? state.error;
    notice.textContent = wrong ?? "";
    notice.hidden = !wrong;
    still.update(state);
    before = state;
    tick();
  }

  model.on("change:graph", draw);
  model.on("change:state", update);
  draw();
  return () => {
    clearTimeout(timer);
    window.removeEventListener("keydown", guard, true);
    sizes.disconnect();
    model.off("change:graph", draw);
    model.off("change:state", update);
    review.close();
    panel.close();
    times.close();
    events.close();
    table.close();
    made.close();
    still.close();
    close();
  };
}

// A message under the bar that stays until it is dismissed.
function line() {
  const box = make("div", "notice");
  box.setAttribute("role", "alert");
  let said = null;
  const tell = (text, state = "paused") => {
    if (text === said) return;
    said = text;
    box.className = `notice ${state}`;
    box.replaceChildren(make("span", "", text), button("Dismiss", () => tell(""), "quiet"));
    box.hidden = !text;
  };
  tell("");
  return { box, tell };
}

export default { initialize, render };
