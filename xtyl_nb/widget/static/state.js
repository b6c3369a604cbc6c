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
