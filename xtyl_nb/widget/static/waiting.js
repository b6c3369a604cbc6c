const PAGE = 6;

// The open reviews in the kernel's order. The first few are part of the state; later ones are requested when a person leafs to
// them, and again after events, so that none is shown that was decided elsewhere.
function waitingList(ask, changed) {
  // Reviews decided here: the state that confirms it is on its way.
  const decided = new Map();
  let [state, later, wanted, asked, timer] = [null, new Map(), 0, -Infinity, null];

  function update(now) {
    const moved = state && state.nodes !== now.nodes;
    state = now;
    for (const [key, review] of decided) if (!alike(state.reviews[key] ?? later.get(key), review)) decided.delete(key);
    if (moved && wanted) {
      clearTimeout(timer);
      timer = setTimeout(() => look(), Math.max(0, asked + 1000 - performance.now()));
    }
  }
  function look(done = () => {}) {
    asked = performance.now();
    const have = Object.fromEntries([...later].map(([key, { mark }]) => [key, mark]));
    ask("reviews", { after: state.waiting.at(-1), count: wanted + PAGE, have }, (answer) => {
      if (answer.ok) later = new Map(answer.keys.map((key) => [key, answer.reviews[key] ?? later.get(key)]));
      done();
      changed();
    }, { quiet: true });
  }
  function more(done) {
    wanted = Math.max(wanted + PAGE, later.size);
    look(done);
  }
  // The state may be newer or older than the requested reviews.
  function list() {
    const first = state.waiting.map((key) => [key, state.reviews[key]]);
    const all = new Map([...first, ...later, ...Object.entries(state.reviews)]);
    return [...all].filter(([key, review]) => !alike(decided.get(key), review));
  }
  const total = () => Math.max(list().length, state.reviews_total - decided.size);
  const drop = (key, review) => { if (list().some(([each]) => each === key)) decided.set(key, review); };
  return { update, more, list, total, drop, close: () => clearTimeout(timer) };
}

// Whether two reviews are the same, even if they arrived as different objects.
function alike(one, other) {
  return one === other || (Boolean(one && other) && JSON.stringify(one) === JSON.stringify(other));
}
