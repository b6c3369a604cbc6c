// Draws a run. Python computes everything shown here; this file only puts it on the page, and only as text.

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  pending: ["M8 8h.01"],
  ready: ["M5.5 3.5 12 8l-6.5 4.5z"],
  running: ["M8 2a6 6 0 1 1-5.6 3.9"],
  waiting: ["M8 1.7a2.9 2.9 0 1 1 0 5.8a2.9 2.9 0 1 1 0-5.8zM2.6 14c.4-3.3 2.6-5 5.4-5s5 1.7 5.4 5z", "solid"],
  open: ["M8 2a6 6 0 1 0 0 12a6 6 0 1 0 0-12M8 5v3.5l2.3 1.5"],
  completed: ["M3 8.5 6.5 12 13 4.5"],
  failed: ["M4 4l8 8M12 4l-8 8"],
  skipped: ["M2.5 4l4 4-4 4M8.5 4l4 4-4 4"],
  stopped: ["M4 4h8v8H4z"],
  paused: ["M5.5 3.5v9M10.5 3.5v9"],
};
const FAR = 0.36;
const LANES = 150;

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined && text !== null) node.textContent = String(text);
  return node;
}

function draw(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function icon(state) {
  const [path, kind = ""] = ICONS[state] ?? ICONS.pending;
  const svg = draw("svg", { viewBox: "0 0 16 16", class: `icon ${kind}`, "aria-hidden": "true" });
  svg.append(draw("path", { d: path, ...(state === "pending" ? { "stroke-width": 5 } : {}) }));
  return svg;
}

function button(label, act, className) {
  const node = make("button", className, label);
  node.type = "button";
  node.addEventListener("click", act);
  return node;
}

function picture(source) {
  const image = make("img");
  image.alt = "";
  if (/^data:image\/(png|jpeg|webp);base64,/.test(source)) image.src = source;
  return image;
}

function track(parts, total) {
  const node = make("div", "track");
  paint(node, parts, total);
  return node;
}

function paint(node, parts, total) {
  const shown = parts.filter(([, count]) => count > 0);
  while (node.children.length > shown.length) node.lastChild.remove();
  shown.forEach(([state, count], place) => {
    const part = node.children[place] ?? node.appendChild(make("i"));
    part.className = state;
    part.style.width = `${(100 * count) / Math.max(total, 1)}%`;
  });
}

function lasted(seconds) {
  return seconds < 10 ? `${Math.max(0, seconds).toFixed(1)} s` : clock(seconds);
}

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const isOver = (state) => ["completed", "failed", "stopped"].includes(state.state);

// The state, with every patch so far merged in; untouched nodes keep their identity, so views redraw only what changed.
function merged(state, patch) {
  const { nodes, reviews, gone = [], ...rest } = patch;
  const kept = Object.fromEntries(Object.entries(state.reviews).filter(([key]) => !gone.includes(key)));
  return { ...state, ...rest, nodes: { ...state.nodes, ...nodes }, reviews: { ...kept, ...reviews }, at: performance.now() };
}

function initialize({ model }) {
  const take = (state) => model.set("state", { ...state, at: performance.now() });
  take(model.get("state"));
  const listen = (message) => {
    const state = model.get("state");
    if (message.kind === "state") take(message.state);
    if (message.kind !== "patch" || message.number <= state.number) return;
    if (message.number > state.number + 1) model.send({ kind: "sync" });
    else model.set("state", { ...merged(state, message.patch), number: message.number });
  };
  model.on("msg:custom", listen);
  return () => model.off("msg:custom", listen);
}

// Sends a control and shows what came of it; a busy kernel answers late, and that is said.
function controls(model, say) {
  const asked = new Map();
  const listen = (message) => {
    if (message.kind !== "answer" || !asked.has(message.ask)) return;
    const { done, timer } = asked.get(message.ask);
    asked.delete(message.ask);
    clearTimeout(timer);
    say("");
    done(message);
  };
  model.on("msg:custom", listen);
  const ask = (kind, details, done) => {
    const id = crypto.randomUUID?.() ?? String(Math.random());
    const late = () => say("The kernel has not answered yet. If a cell is running, it will when that cell ends.");
    asked.set(id, { done, timer: setTimeout(late, 3000) });
    model.send({ kind, ask: id, ...details });
  };
  const close = () => {
    model.off("msg:custom", listen);
    for (const { timer } of asked.values()) clearTimeout(timer);
  };
  return { ask, close };
}

function header(graph, act) {
  const bar = make("div", "bar");
  const pill = make("span", "pill");
  pill.setAttribute("role", "status");
  const note = make("span", "soft");
  const rail = track([], 1);
  const numbers = make("span", "soft numbers");
  const buttons = make("div", "buttons");
  const all = {
    pause: button("Pause", () => act("pause")),
    resume: button("Resume", () => act("resume")),
    retry: button("Retry failed", () => act("retry")),
    stop: button("Stop", () => act("stop")),
  };
  buttons.append(...Object.values(all));
  bar.append(make("b", "", graph.name), pill, note, rail, numbers, buttons);
  const tick = (state, elapsed) => {
    numbers.textContent = `${state.done} / ${state.total}${state.started ? ` · ${clock(elapsed)}` : ""}`;
  };
  const update = (state, before) => {
    if (state.state !== before?.state) {
      pill.className = `pill ${state.state}`;
      pill.replaceChildren(icon(state.state), make("span", "", state.state));
    }
    const reviews = state.reviews_total && !isOver(state);
    note.textContent = reviews ? `${plural(state.reviews_total, "review")} for you` : isOver(state) ? "" : state.waiting_for ?? "";
    const sum = { completed: 0, skipped: 0, failed: 0, waiting: 0, running: 0 };
    for (const node of Object.values(state.nodes)) for (const [kind, count] of node.spans) sum[kind] += count;
    paint(rail, Object.entries(sum), state.total);
    const open = ["pending", "running"].includes(state.state);
    all.pause.hidden = !open;
    all.resume.hidden = !["paused", "stopped"].includes(state.state);
    all.retry.hidden = !state.failed || !["failed", "stopped"].includes(state.state);
    all.stop.hidden = isOver(state);
  };
  return { bar, update, tick };
}

function card(node, choose) {
  const box = make("div", "card");
  Object.assign(box.style, { left: `${node.x}px`, top: `${node.y}px`, height: `${node.height}px` });
  box.setAttribute("role", "button");
  box.dataset.node = node.id;
  box.tabIndex = -1;
  box.addEventListener("click", () => choose(node.id));
  const head = make("h4");
  const name = make("span", "", node.id);
  const count = make("em");
  const kind = make("div", "kind");
  const rail = track([], 1);
  const words = make("p");
  const thumbs = make("div", "thumbs");
  head.append(icon("pending"), name, count);
  box.append(head, kind, rail, words, thumbs);
  const update = (state, words_of) => {
    box.className = `card ${state.state}${node.height < 80 ? " low" : ""}${box.classList.contains("on") ? " on" : ""}`;
    head.firstChild.replaceWith(icon(state.state));
    count.textContent = state.total ? `${state.done} / ${state.total}` : "";
    kind.replaceChildren(make("b", "", words_of[state.state]), ` · ${node.kind}`);
    paint(rail, state.spans, state.total);
    words.className = state.error ? "bad" : "";
    words.textContent = state.error ?? (state.images.length ? "" : state.text ?? "");
    words.hidden = !words.textContent;
    thumbs.replaceChildren(...state.images.map(picture));
    box.title = `${node.id} · ${node.kind}`;
    box.setAttribute("aria-label", `${node.id}, ${words_of[state.state]}, ${state.done} of ${state.total} done`);
  };
  return { box, node, update };
}

function stage(graph, choose) {
  const box = make("div", "stagebox");
  const scroller = make("div", "stage");
  const space = make("div", "space");
  const world = make("div", "graph");
  const wires = draw("svg", { class: "wires", width: graph.width, height: graph.height, "aria-hidden": "true" });
  const cards = new Map(graph.nodes.map((node) => [node.id, card(node, choose)]));
  const paths = graph.wires.map(([source, target, branch, d]) => {
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
  let whole = false;
  const zoom = button("", () => { whole = !whole; fit(); }, "zoom");
  box.append(scroller, zoom);
  if (graph.nodes.length > 60) box.classList.add("many");
  if (cards.size) cards.values().next().value.box.tabIndex = 0;

  function fit() {
    const width = box.clientWidth || 900;
    const all = Math.min(1, width / graph.width, (graph.height > 520 ? 520 : Infinity) / graph.height);
    const near = Math.max(0.78, Math.min(1, width / graph.width));
    const scale = whole ? all : near;
    zoom.hidden = all >= near;
    zoom.textContent = whole ? "Readable size" : "Whole graph";
    world.style.transform = `scale(${scale})`;
    space.style.width = `${graph.width * scale}px`;
    space.style.height = `${graph.height * scale}px`;
    scroller.style.height = `${Math.min(520, Math.max(90, graph.height * scale + (graph.width * scale > width ? 14 : 0)))}px`;
    world.classList.toggle("far", scale < FAR);
  }

  world.addEventListener("keydown", (event) => {
    const at = cards.get(event.target.dataset?.node);
    if (!at) return;
    if (event.key === "Enter" || event.key === " ") choose(at.node.id);
    else if (event.key === "Escape") choose(null);
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
  return { box, update, select, fit };
}

function timeline(graph, choose) {
  const box = make("div");
  const title = make("h5", "", "Timeline");
  const end = title.appendChild(make("span", "end"));
  const list = make("div", "gantt");
  box.append(title, list);
  const lanes = new Map();

  function lane(id) {
    const row = button("", () => choose(id), "lane");
    const rail = make("span", "rail");
    const bar = rail.appendChild(make("i"));
    const took = make("span", "took");
    row.append(make("span", "", id), rail, took);
    return { row, bar, took };
  }

  function update(state, elapsed) {
    const started = graph.nodes.filter(({ id }) => state.nodes[id]?.start != null);
    const whole = Math.max(elapsed, 0.001);
    for (const { id } of started.slice(0, LANES)) {
      if (!lanes.has(id)) lanes.set(id, lane(id));
      const { row, bar, took } = lanes.get(id);
      const node = state.nodes[id];
      const until = node.end ?? elapsed;
      bar.className = node.state;
      bar.style.left = `${Math.min(99, (100 * node.start) / whole)}%`;
      bar.style.width = `${Math.max(0, (100 * (until - node.start)) / whole)}%`;
      took.textContent = lasted(until - node.start);
      if (!row.isConnected) list.append(row);
    }
    const more = started.length - LANES;
    end.textContent = started.length ? (more > 0 ? `first ${LANES} of ${started.length} · ` : "") + lasted(elapsed) : "nothing has started";
  }
  return { box, update };
}

function details(graph, choose) {
  const box = make("div");
  const nodes = new Map(graph.nodes.map((node) => [node.id, node]));

  function update(id, state, elapsed) {
    const [node, now] = [nodes.get(id), state.nodes[id]];
    if (!node || !now) return;
    const title = make("h5");
    const close = button("Timeline", () => choose(null), "quiet end");
    title.append(make("span", "", node.id), make("span", "soft", node.kind), close);
    const list = make("dl");
    const line = (name, value, className) => value && list.append(make("dt", "", name), make("dd", className, value));
    const counts = Object.entries(now.counts).map(([kind, count]) => `${count} ${kind}`).join(", ");
    line("state", `${graph.words[now.state]}${counts ? ` (${counts})` : ""}`);
    line("time", now.start == null ? "" : lasted((now.end ?? elapsed) - now.start));
    line("error", now.error, "bad");
    line("last text", now.text);
    if (now.images.length) {
      const images = make("dd", "thumbs");
      images.append(...now.images.map(picture));
      list.append(make("dt", "", "last images"), images);
    }
    for (const [name, value] of node.asked) line(name, value);
    const place = box.querySelector("dl")?.scrollTop ?? 0;
    const focused = box.contains(document.activeElement);
    box.replaceChildren(title, list);
    list.scrollTop = place;
    if (focused) close.focus();
  }
  return { box, update };
}

function reviews(ask) {
  const box = make("div", "review");
  const drafts = new Map();
  let [at, drawn, waiting] = [0, null, []];

  function draft(key) {
    if (!drafts.has(key)) drafts.set(key, { chosen: [], edits: {}, reason: "", rejecting: false, says: "", busy: false });
    return drafts.get(key);
  }

  function update(state) {
    waiting = Object.entries(state.reviews);
    for (const key of drafts.keys()) if (!state.reviews[key]) drafts.delete(key);
    at = Math.max(0, Math.min(at, waiting.length - 1));
    box.hidden = !waiting.length || isOver(state);
    if (box.hidden) return;
    const [key, review] = waiting[at];
    const shown = [key, review, state.reviews_total];
    if (drawn && shown.every((part, place) => part === drawn[place])) return;
    drawn = shown;
    show(key, review, state.reviews_total);
  }

  function show(key, review, total) {
    const mine = draft(key);
    const redraw = () => show(key, review, total);
    const title = make("h5");
    title.append(make("span", "", `${review.node} · ${review.label || `row ${review.row}`}`));
    title.append(make("span", "end", `choose ${review.choose}`));
    const sheet = make("fieldset", review.options.some(({ image }) => image) ? "sheet" : "sheet wordy");
    sheet.setAttribute("aria-label", `Options of ${review.node}`);
    const row = make("div", "row");
    const approve = button("Approve", () => decide("approve", { choose: mine.chosen, edits: edits() }), "main");
    const says = make("p", "says bad", mine.says);
    says.setAttribute("role", "alert");
    says.hidden = !mine.says;

    function edits() {
      const wanted = Object.entries(mine.edits).filter(([index]) => mine.chosen.includes(Number(index)));
      return Object.fromEntries(wanted);
    }
    function decide(kind, what) {
      mine.busy = true;
      ready();
      ask(kind, { node: review.node, item: review.item, ...what }, (answer) => {
        mine.busy = false;
        mine.says = answer.ok ? "" : [answer.error, answer.hint].filter(Boolean).join("\n");
        if (drawn?.[0] === key) answer.ok ? ready() : redraw();
      });
    }
    function ready() {
      approve.disabled = mine.busy || mine.chosen.length !== review.choose;
      const missing = review.choose - mine.chosen.length;
      approve.title = missing > 0 ? `Choose ${missing} more` : "";
      reject.disabled = mine.busy;
      for (const pick of sheet.children) {
        const input = pick.querySelector("input");
        if (!input) continue;
        input.checked = mine.chosen.includes(Number(input.value));
        pick.classList.toggle("on", input.checked);
        pick.querySelector(".words")?.toggleAttribute("hidden", review.edit && input.checked);
        pick.querySelector("textarea")?.toggleAttribute("hidden", !input.checked);
      }
    }
    function choose(index, on) {
      const others = mine.chosen.filter((other) => other !== index);
      // A choice too many replaces the oldest: nobody has to clear one first.
      mine.chosen = on ? [...others, index].slice(-review.choose) : others;
      ready();
    }

    const name = `xtyl-${Math.random().toString(36).slice(2)}`;
    for (const option of review.options) sheet.append(pick(option, review, mine, name, choose));
    if (review.hidden) sheet.append(make("p", "soft", `${review.hidden} more: run.reviews() lists them all`));
    const reject = button(mine.rejecting ? "Reject" : "Reject…", () => {
      if (mine.rejecting) return decide("reject", { reason: mine.reason });
      mine.rejecting = true;
      redraw();
      box.querySelector(".reason").focus();
    });
    row.append(...(mine.rejecting ? [reason(mine, () => reject.click()), reject, button("Keep", () => { mine.rejecting = false; redraw(); })] : [approve, reject]));
    row.append(turner(total));
    const parts = [title, sheet, row, says];
    if (review.instructions) parts.splice(1, 0, make("p", "soft", review.instructions));
    box.replaceChildren(...parts);
    ready();
  }

  function turner(total) {
    const node = make("span", "end soft");
    if (total < 2) return node;
    const turn = (step) => button(step < 0 ? "‹" : "›", () => {
      at += step;
      drawn = null;
      const [key, review] = waiting[at];
      drawn = [key, review, total];
      show(key, review, total);
    }, "quiet");
    const [back, on] = [turn(-1), turn(1)];
    back.setAttribute("aria-label", "previous review");
    on.setAttribute("aria-label", "next review");
    back.disabled = at === 0;
    on.disabled = at >= waiting.length - 1;
    node.append(back, ` ${at + 1} of ${total} `, on);
    return node;
  }
  return { box, update };
}

function reason(mine, enter) {
  const input = make("input", "reason");
  input.type = "text";
  input.placeholder = "Why? (kept with the decision)";
  input.value = mine.reason;
  input.addEventListener("input", () => { mine.reason = input.value; });
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") enter();
  });
  return input;
}

function pick(option, review, mine, name, choose) {
  const box = make("label", option.image ? "pick" : "pick plain");
  const input = make("input");
  input.type = review.choose === 1 ? "radio" : "checkbox";
  input.name = name;
  input.value = option.index;
  input.setAttribute("aria-label", option.text ?? `option ${option.index + 1}`);
  input.addEventListener("change", () => choose(option.index, input.checked));
  if (option.image) box.append(picture(option.image));
  box.append(input, make("span", "words", option.text ?? ""));
  if (review.edit && option.text !== null) {
    const text = make("textarea");
    text.value = mine.edits[option.index] ?? option.text;
    text.setAttribute("aria-label", `Edit the text of option ${option.index + 1}`);
    text.addEventListener("input", () => { mine.edits[option.index] = text.value; });
    text.addEventListener("keydown", (event) => event.stopPropagation());
    box.append(text);
  }
  return box;
}

function render({ model, el }) {
  const graph = model.get("graph");
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

  const { ask, close } = controls(model, tell);
  const act = (kind) => ask(kind, {}, (answer) => {
    if (!answer.ok) tell([answer.error, answer.hint].filter(Boolean).join("\n"), "failed");
  });
  const choose = (id) => {
    selected = id === selected ? null : id;
    graphic.select(selected);
    tick();
  };
  const top = header(graph, act);
  const graphic = stage(graph, choose);
  const review = reviews(ask);
  const times = timeline(graph, choose);
  const panel = details(graph, choose);
  const foot = make("div", "foot");
  foot.append(review.box, times.box, panel.box);
  root.append(style, top.bar, notice, told, graphic.box, foot);
  el.append(root);

  function tick() {
    const state = model.get("state");
    const running = state.started && !isOver(state);
    const elapsed = state.elapsed + (running ? (performance.now() - state.at) / 1000 : 0);
    top.tick(state, elapsed);
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
  model.send({ kind: "opened", view });
  return () => {
    clearTimeout(timer);
    sizes.disconnect();
    model.off("change:state", update);
    close();
    model.send({ kind: "closed", view });
  };
}

export default { initialize, render };
