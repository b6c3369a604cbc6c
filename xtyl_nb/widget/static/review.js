// The open reviews, one at a time, each with its unfinished decision, which is kept until the review is decided.
const OPEN = ["blocked", "ready", "running", "waiting"];

function reviews(key, ask, leave, enlarge, changed) {
  const box = make("div", "review");
  const note = make("div", "note");
  const desk = make("div", "desk");
  note.setAttribute("role", "alert");
  box.append(note, desk);
  const { kept, close } = beginnings(key);
  const queue = waitingList(ask, () => refresh());
  const facts = rowFacts(ask);
  let [drawn, state, place, goOn, arrived] = [null, null, 0, false, false];

  function draft(key) {
    if (!kept.drafts.has(key)) kept.drafts.set(key, unbegun());
    return kept.drafts.get(key);
  }

  // The note that another person decided first stays until it is dismissed, or the reader moves on.
  function tell(words, title = "", state = "failed") {
    kept.note = words ? { words, title, state } : null;
    note.hidden = !kept.note;
    if (!kept.note) return note.replaceChildren();
    const text = make("span");
    if (title) text.append(make("b", "", `${title}: `));
    text.append(words);
    note.className = `note ${state}`;
    note.replaceChildren(icon(state), text, button("Dismiss", () => { arrive(); refresh(); }, "quiet"));
  }

  // A row that waits for another option stays in view until the option arrives, or the reader moves on.
  const isAway = (key = kept.at) => kept.making !== null && kept.making.key === key;
  function arrive(isThere = false) {
    arrived = isThere && isAway();
    kept.making = null;
    drawn = null;
    tell("");
  }
  function lookOut(waiting) {
    const { key, review, isGone, failed } = kept.making;
    const now = waiting.find(([each]) => each === key)?.[1];
    if (now && (isGone || now.mark !== review.mark)) return arrive(true);
    kept.making.isGone = isGone || !now;
    // The new option itself may fail, which ends its row too.
    if (now || (state.failed === failed && !isOver(state))) return;
    kept.making.failed = state.failed;
    ask("job", { node: review.node, item: review.item }, ({ job }) => {
      if (!isAway(key) || (job && OPEN.includes(job.state))) return;
      arrive();
      if (job?.state === "skipped") tell("the other option could not be made, and its row is skipped too. Once the run is over, Retry failed brings both back.", titleOf(review));
      refresh();
    }, { quiet: true });
  }

  function update(now) {
    state = now;
    queue.update(now);
    refresh();
  }

  function refresh() {
    const waiting = isOver(state) ? [] : queue.list();
    if (kept.making) lookOut(waiting);
    const here = waiting.findIndex(([key]) => key === kept.at);
    if (here < 0 && !isAway()) drawn = null;
    const keys = new Set(waiting.map(([key]) => key));
    for (const [key, mine] of kept.drafts) {
      if (keys.has(key)) mine.looked = false;
      else if (!mine.looked && mine.review) ended(key, mine);
    }
    // The row in view stays, even while others are decided elsewhere.
    place = here >= 0 ? here : Math.max(0, Math.min(place, waiting.length - (isAway() ? 0 : 1)));
    desk.hidden = !waiting.length && !isAway();
    changed();
    if (desk.hidden) {
      if ((goOn || box.contains(active(box))) && isFree()) leave();
      drawn = null;
      return;
    }
    const [key, review] = isAway() ? [kept.making.key, kept.making.review] : waiting[place];
    kept.at = key;
    // A person may be typing here: another waiting row changes only the count.
    if (drawn && drawn[0] === key && alike(drawn[1], review)) return turn.update();
    drawn = [key, review];
    show(key, review);
  }

  // Decided by another person while a decision was unfinished here, in view or not.
  function ended(key, mine) {
    if (mine.busy || !isBegun(mine)) return;
    mine.looked = true;
    const { review } = mine;
    ask("job", { node: review.node, item: review.item }, ({ job }) => {
      if (!job?.decision) return;
      kept.drafts.delete(key);
      tell(verdict(job.decision), titleOf(review));
      refresh();
    }, { quiet: true });
  }

  // A redraw keeps the focus and the cursor of a person who types or chooses.
  function focused() {
    const at = active(desk);
    return desk.contains(at) && at.dataset.at ? { at: at.dataset.at, from: at.selectionStart, to: at.selectionEnd } : null;
  }
  function focus(spot) {
    const at = [...desk.querySelectorAll("[data-at]")].find(({ dataset }) => dataset.at === spot.at);
    at?.focus({ preventScroll: true });
    if (at && spot.from != null && at.type !== "radio" && at.type !== "checkbox") at.setSelectionRange(spot.from, spot.to);
  }
  const isFree = () => [document.body, null].includes(active(box)) || box.contains(active(box)) || leave.holds();

  function show(key, review) {
    const mine = draft(key);
    renew(mine, review);
    const spot = focused();
    const redraw = (at = focused()) => {
      if (drawn?.[0] !== key) return;
      show(key, review);
      if (at) focus(at);
    };
    const send = (kind, what) => {
      decide(key, review, kind, what, redraw);
      form.ready();
    };
    const form = reviewForm(review, mine, { isAway: () => isAway(key), send, redraw, enlarge, facts });
    const title = make("h5");
    title.append(make("span", "", titleOf(review)), make("span", "end", `choose ${review.choose}`), turn.box);
    desk.replaceChildren(title, facts.strip(review), ...form.parts);
    turn.update();
    form.ready();
    // After a decision the focus moves to the next row, unless the person has moved it elsewhere meanwhile.
    const next = review.options.at(arrived ? -1 : 0);
    if ((goOn || arrived) && !mine.busy && !isAway(key) && isFree()) {
      focus({ at: `option ${next?.index}` });
      if (arrived) active(desk)?.closest(".pick")?.scrollIntoView({ block: "nearest" });
    } else if (spot) focus(spot);
    if (!mine.busy) goOn = arrived = false;
  }

  function decide(key, review, kind, what, redraw) {
    const [mine, at] = [draft(key), focused()];
    tell("");
    mine.busy = goOn = true;
    if (kind === "another") kept.making = { key, review, isGone: false, failed: state.failed };
    ask(kind, { node: review.node, item: review.item, ...what }, (answer) => {
      mine.busy = false;
      mine.says = answer.ok ? "" : [answer.error, answer.hint].filter(Boolean).join("\n");
      if (!answer.ok && isAway(key)) kept.making = null;
      if (isAway(key)) {
        tell("one more option is being made and will appear here. Until then this row cannot be decided.", titleOf(review), "running");
        if (box.contains(active(box))) leave();
      }
      const isDecided = answer.ok ? kind !== "another" : answer.waits === false;
      if (isDecided) {
        queue.drop(key, review);
        kept.drafts.delete(key);
        if (!answer.ok) tell(answer.decision ? verdict(answer.decision) : mine.says, titleOf(review));
      } else {
        goOn = false;
        redraw(at);
      }
      refresh();
    });
  }

  const turn = turner();
  function turner() {
    const node = make("span", "soft turner");
    const count = make("span");
    let asking = false;
    // The next row takes the place of one that is away.
    const target = (by) => place + (isAway() && by > 0 ? 0 : by);
    const go = (by) => {
      const [waiting, next] = [queue.list(), target(by)];
      if (!waiting[next]) return;
      kept.at = waiting[next][0];
      place = next;
      arrive();
      refresh();
    };
    // A few are sent at a time; leafing beyond them requests the next.
    const step = (by) => marked(by < 0 ? "back" : "on", button(by < 0 ? "‹" : "›", () => {
      if (target(by) < queue.list().length) return go(by);
      asking = true;
      update();
      queue.more(() => { asking = false; go(by); update(); });
    }, "quiet"));
    const [back, on] = [step(-1), step(1)];
    back.setAttribute("aria-label", "previous review");
    on.setAttribute("aria-label", "next review");
    node.append(back, count, on);
    function update() {
      const total = queue.total();
      node.hidden = total < (isAway() ? 1 : 2);
      count.textContent = isAway() ? ` ${total} more ` : ` ${place + 1} of ${total} `;
      back.disabled = place === 0;
      on.disabled = asking || target(1) >= total;
    }
    return { box: node, update };
  }

  if (kept.note) tell(kept.note.words, kept.note.title, kept.note.state);
  else tell("");
  // Whether this review is among those that the page has; then it is shown next.
  function goTo(key) {
    if (!queue.list().some(([each]) => each === key)) return false;
    kept.at = key;
    arrive();
    refresh();
    return true;
  }
  const isEmpty = () => desk.hidden && note.hidden;
  return { box, update, isEmpty, goTo, close: () => { queue.close(); close(); } };
}
