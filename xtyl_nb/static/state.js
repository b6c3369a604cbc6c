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

const LATE = 700;

// Sends a control and shows what came of it; a busy kernel answers late, and one that is gone never: both are said, with what helps.
function controls(model, run, say) {
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
    const verb = ["pause", "resume", "stop", "retry"].includes(kind) ? kind : "stop";
    const late = () => say(`The kernel is busy and will answer when its cell ends. In a terminal this works at once: xtyl ${verb} ${run}`);
    asked.set(id, { done, timer: setTimeout(late, LATE) });
    try {
      model.send({ kind, ask: id, ...details });
    } catch {
      clearTimeout(asked.get(id).timer);
      asked.delete(id);
      say(`The kernel that showed this is gone. The run is not: in a cell, xt.attach("${run}") shows it again.`, "failed");
    }
  };
  const close = () => {
    model.off("msg:custom", listen);
    for (const { timer } of asked.values()) clearTimeout(timer);
  };
  return { ask, close };
}
