// The head of a run: its name, where it stands in people's words, and what may be done. `lead` goes to what waits for a person.
function header(graph, act, lead) {
  const bar = make("div", "bar");
  const pill = button("", () => lead(), "pill");
  const status = make("span");
  status.setAttribute("role", "status");
  pill.append(make("span"), status);
  const note = make("span", "soft");
  const rail = track([], 1);
  const numbers = make("span", "soft numbers");
  const money = make("span", "soft money");
  const buttons = make("div", "buttons");
  const all = {
    pause: button("Pause", () => act("pause")),
    resume: button("Resume", () => act("resume")),
    retry: button("", () => act("retry")),
    stop: button("Stop", () => act("stop")),
  };
  buttons.append(...Object.values(all));
  const id = make("code", "soft", graph.run);
  id.title = `xt.attach("${graph.run}") shows this run anywhere`;
  bar.append(make("b", "", graph.name), id, pill, note, rail, numbers, money, buttons);
  let [shown, drawn] = ["", ""];
  const stale = (time) => { shown = time ? ` · as of ${time.toTimeString().slice(0, 5)}` : ""; };
  const tick = (state, elapsed) => {
    const parts = [`${state.done} / ${state.total}`, state.started && clock(elapsed), left(state, elapsed)];
    numbers.textContent = parts.filter(Boolean).join(" · ") + shown;
    money.textContent = state.money;
    money.classList.toggle("waiting", state.short);
    money.title = state.short ? "Nearly all of the budget is spent: run.resume(budget=...) raises it, also while the run goes on." : "";
  };
  const update = (state) => {
    const waits = isWaiting(state);
    const [kind, words] = [waits ? "waiting" : state.state, standing(state)];
    if (drawn !== `${kind} ${words}`) {
      drawn = `${kind} ${words}`;
      pill.className = `pill ${kind}`;
      pill.disabled = !waits;
      pill.firstChild.replaceChildren(icon(kind));
      status.textContent = words;
      pill.setAttribute("aria-label", words);
    }
    const reason = isOver(state) ? "" : state.waiting_for ?? "";
    const rows = waits || isOver(state) ? "" : ready(state);
    // A missing worker is said beside the reviews: what they start would not go on.
    const said = [rows, !waits || reason.startsWith("a worker: ") ? reason : "", waits ? ready(state) : "", lost(state)];
    note.textContent = said.filter(Boolean).join(" · ");
    const sum = { completed: 0, skipped: 0, failed: 0, waiting: 0, running: 0 };
    for (const node of Object.values(state.nodes)) for (const [kind, count] of node.spans) sum[kind] += count;
    paint(rail, Object.entries(sum), state.total);
    const open = ["pending", "running"].includes(state.state);
    all.pause.hidden = !open;
    all.resume.hidden = !["paused", "stopped"].includes(state.state);
    all.retry.textContent = `Retry ${state.failed} failed`;
    all.retry.hidden = !state.failed || !["failed", "stopped"].includes(state.state);
    all.stop.hidden = isOver(state);
  };
  return { bar, update, tick, stale };
}

const isWaiting = (state) => state.reviews_total > 0 && ["pending", "running"].includes(state.state);

// Where a run stands, in people's words.
function standing(state) {
  if (isWaiting(state)) return `waiting for you · ${state.reviews_total}`;
  return state.state === "failed" && ready(state) ? ready(state) : state.state;
}

// How many rows have all their results; empty where that cannot be told from the steps alone, and for a single row.
const ready = ({ ready, rows }) => ready === null || rows < 2 ? "" : `${ready} of ${rows} rows ready`;
const lost = ({ failed }) => failed ? `${failed} failed` : "";

// About how long jobs will take that nothing but time holds up.
function left(state, elapsed) {
  if (state.state !== "running" || state.reviews_total || state.waiting_for || state.done < 3 || 10 * state.done < state.total) return "";
  return `about ${lasted((elapsed * (state.total - state.done)) / state.done)} left`;
}
