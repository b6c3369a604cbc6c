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
