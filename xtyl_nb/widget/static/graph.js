function card(node, choose) {
  const stacked = node.stack ? " stack" : "";
  const box = make("div", "card");
  Object.assign(box.style, { left: `${node.x}px`, top: `${node.y}px`, height: `${node.height}px` });
  box.setAttribute("role", "button");
  box.dataset.node = node.id;
  box.tabIndex = -1;
  box.addEventListener("click", () => choose(node.id));
  const head = make("h4");
  const name = make("span", "", node.name);
  const mark = make("span", "mark");
  const count = make("em");
  const kind = make("div", "kind");
  const what = make("span", "", node.kind);
  const took = make("em");
  kind.append(what, took);
  const rail = track([], 1);
  const words = make("p");
  const thumbs = make("div", "thumbs");
  head.append(icon("pending"), name, mark, count);
  box.append(head, kind, rail, words, thumbs);
  let now = null;
  const update = (state, words_of) => {
    box.className = `card ${state.state}${stacked}${node.height < 80 ? " low" : ""}${box.classList.contains("on") ? " on" : ""}`;
    head.firstChild.replaceWith(icon(state.state));
    const failed = (state.counts.failed ?? 0) + (state.counts.quarantined ?? 0);
    mark.replaceChildren(...(failed && state.state !== "failed" ? [icon("failed"), String(failed)] : []));
    now = state;
    count.textContent = state.total ? `${state.done} / ${state.total}` : "";
    paint(rail, state.spans, state.total);
    words.className = state.error ? "bad" : state.cut && "cut";
    const said = state.state === "completed" ? "" : words_of[state.state];
    const latest = state.branches || (state.images.length ? "" : state.text ?? said);
    words.textContent = state.error ?? (state.waits ? `Waits for you: ${state.waits}` : state.says || latest);
    words.hidden = !words.textContent;
    thumbs.replaceChildren(...state.images.map(picture));
    box.title = `${node.name} · ${node.kind}${stacked && ": click to open"}`;
    box.setAttribute("aria-label", `${node.name}, ${stacked && `${node.kind}, click to open, `}${words_of[state.state]}, ${state.done} of ${state.total} done${state.cut && `, ${state.cut}`}`);
  };
  // The time it has been working so far.
  const tick = (elapsed) => {
    if (!now) return;
    const text = [now.money, now.start == null ? "" : lasted(atWork(now, elapsed))].filter(Boolean).join(" · ");
    if (took.textContent !== text) took.textContent = text;
  };
  return { box, node, update, tick };
}

// Drags the graph, by its background or its cards; a drag is no click.
function pan(scroller) {
  let [from, moved] = [null, false];
  scroller.addEventListener("pointerdown", (event) => {
    moved = false;
    if (event.button > 1 || event.pointerType === "touch") return;
    from = { x: event.clientX, y: event.clientY, left: scroller.scrollLeft, top: scroller.scrollTop };
  });
  scroller.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [x, y] = [from.x - event.clientX, from.y - event.clientY];
    if (!moved && Math.abs(x) + Math.abs(y) > 4) {
      moved = true;
      scroller.setPointerCapture(event.pointerId);
      scroller.classList.add("dragged");
    }
    if (moved) scroller.scrollTo(from.left + x, from.top + y);
  });
  for (const end of ["pointerup", "pointercancel"]) scroller.addEventListener(end, () => {
    from = null;
    scroller.classList.remove("dragged");
  });
  scroller.addEventListener("click", (event) => { if (moved) event.stopPropagation(); }, true);
}

// In a graph larger than its view: to the next card with a waiting, failed or running job.
function jumper(go) {
  const box = make("span", "jumps");
  const last = {};
  const found = {};
  const buttons = ["waiting", "failed", "running"].map((kind) => {
    const words = make("span");
    const jump = button("", () => {
      const ids = found[kind];
      last[kind] = ids[(ids.indexOf(last[kind]) + 1) % ids.length];
      go(last[kind]);
    }, kind);
    jump.append(icon(kind), words);
    box.append(jump);
    return { kind, jump, words };
  });
  function update(nodes) {
    for (const { kind, jump, words } of buttons) {
      found[kind] = nodes.filter(([, node]) => node?.spans.some(([state, count]) => state === kind && count)).map(([id]) => id);
      const count = found[kind].length;
      jump.hidden = !count;
      words.textContent = `${plural(count, "card")} ${kind}`;
      jump.title = "Go to the next one";
    }
  }
  return { box, update };
}

function stage(graph, choose, refold) {
  const box = make("div", "stagebox");
  const scroller = make("div", "stage");
  const space = make("div", "space");
  const world = make("div", "graph");
  const wires = draw("svg", { class: "wires", width: graph.width, height: graph.height, "aria-hidden": "true" });
  const cards = new Map(graph.nodes.map((node) => [node.id, card(node, choose)]));
  const paths = graph.wires.map(([source, target, d]) => {
    const path = draw("path", { d });
    wires.append(path);
    return { source, target, path };
  });
  const of = new Map(graph.nodes.map((node) => [node.id, []]));
  for (const wire of paths) for (const end of [wire.source, wire.target]) of.get(end).push(wire);
  Object.assign(world.style, { width: `${graph.width}px`, height: `${graph.height}px` });
  world.append(wires, ...[...cards.values()].map(({ box }) => box));
  space.append(world);
  scroller.append(space);
  let [whole, wanted, scale] = [false, null, 1];
  const zoom = button("", () => { [whole, wanted] = [!whole, null]; fit(); });
  const jumps = jumper((id) => show(id));
  const tools = make("div", "tools");
  tools.append(jumps.box);
  if (graph.opened) tools.append(button("Fold", () => refold(null)));
  tools.append(zoom);
  box.append(scroller, tools);
  pan(scroller);
  if (graph.nodes.length > 60) box.classList.add("many");
  if (cards.size) cards.values().next().value.box.tabIndex = 0;

  function fit() {
    const width = box.clientWidth || 900;
    const all = Math.min(1, width / graph.width, (graph.height > 520 ? 520 : Infinity) / graph.height);
    const near = all < SNUG ? Math.max(READABLE, Math.min(1, width / graph.width)) : all;
    scale = wanted ?? (whole ? all : near);
    zoom.hidden = all >= near && wanted === null;
    zoom.textContent = whole ? "Readable size" : "Whole graph";
    world.style.transform = `scale(${scale})`;
    space.style.width = `${graph.width * scale}px`;
    space.style.height = `${graph.height * scale}px`;
    scroller.style.height = `${Math.min(520, Math.max(90, graph.height * scale + (graph.width * scale > width ? 14 : 0)))}px`;
    world.classList.toggle("far", scale < FAR);
    const isLarger = graph.width * scale > width + 1 || graph.height * scale > 521;
    scroller.classList.toggle("pannable", isLarger);
    jumps.box.hidden = !isLarger && scale >= SNUG;
    tools.hidden = jumps.box.hidden && zoom.hidden && !graph.opened;
  }

  // The point under the pointer, or in the middle, stays in place.
  function zoomBy(factor, x = scroller.clientWidth / 2, y = scroller.clientHeight / 2) {
    const before = scale;
    wanted = Math.max(0.08, Math.min(1.6, scale * factor));
    fit();
    const grown = scale / before;
    scroller.scrollTo((scroller.scrollLeft + x) * grown - x, (scroller.scrollTop + y) * grown - y);
  }

  // Puts a card in the middle, in readable size.
  function show(id) {
    const { node, box: shown } = cards.get(id);
    if (scale < READABLE) {
      [whole, wanted] = [false, READABLE];
      fit();
    }
    const middle = [(node.x + CARD_WIDTH / 2) * scale - scroller.clientWidth / 2, (node.y + node.height / 2) * scale - scroller.clientHeight / 2];
    scroller.scrollTo(...middle);
    shown.focus({ preventScroll: true });
  }

  scroller.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    const edge = scroller.getBoundingClientRect();
    zoomBy(Math.exp(-event.deltaY / 400), event.clientX - edge.left, event.clientY - edge.top);
    event.preventDefault();
  }, { passive: false });

  world.addEventListener("keydown", (event) => {
    const at = cards.get(event.target.dataset?.node);
    if (!at) return;
    if (event.key === "Enter" || event.key === " ") choose(at.node.id);
    else if (event.key === "+" || event.key === "-") zoomBy(event.key === "+" ? 1.25 : 0.8);
    else if (event.key === "0") { wanted = null; fit(); }
    else if (!event.key.startsWith("Arrow")) return;
    else nearest(at.node, event.key.slice(5))?.box.focus();
    event.preventDefault();
    event.stopPropagation();
  });
  world.addEventListener("focusin", (event) => {
    world.querySelector('.card[tabindex="0"]')?.setAttribute("tabindex", "-1");
    event.target.tabIndex = 0;
  });

  function nearest(from, way) {
    const [along, across, sign] = { Left: ["x", "y", -1], Right: ["x", "y", 1], Up: ["y", "x", -1], Down: ["y", "x", 1] }[way];
    const cost = ({ node }) => sign * (node[along] - from[along]) + 3 * Math.abs(node[across] - from[across]);
    const ahead = [...cards.values()].filter(({ node }) => sign * (node[along] - from[along]) > 1);
    return ahead.reduce((best, next) => (!best || cost(next) < cost(best) ? next : best), null);
  }

  function update(state, before) {
    const changed = new Set();
    for (const [id, shown] of cards) {
      const now = state.nodes[id];
      if (!now || now === before?.nodes[id]) continue;
      shown.update(now, graph.words);
      of.get(id).forEach((wire) => changed.add(wire));
    }
    jumps.update(graph.nodes.map(({ id }) => [id, state.nodes[id]]));
    for (const { source, target, path } of changed) path.setAttribute("class", flow(state.nodes[source], state.nodes[target]));
  }

  function flow(source, target) {
    if (!source || !target) return "";
    if (target.state === "skipped" || source.state === "skipped") return "skip";
    if (target.state === "running") return source.done ? "live" : "";
    return source.done && !["pending", "stopped"].includes(target.state) ? "done" : "";
  }

  const select = (id) => {
    for (const [key, { box }] of cards) {
      box.classList.toggle("on", key === id);
      box.setAttribute("aria-pressed", String(key === id));
    }
  };
  const tick = (elapsed) => cards.forEach((shown) => shown.tick(elapsed));
  const focus = (id) => cards.get(id)?.box.focus();
  return { box, update, tick, select, fit, focus };
}
