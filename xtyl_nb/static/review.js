// What was begun at a review stays until it is decided, also where the page draws the widget anew: kept by widget.
const begun = new Map();

function reviews(key, ask, leave) {
  const box = make("div", "review");
  const note = make("div", "note");
  const desk = make("div", "desk");
  note.setAttribute("role", "alert");
  box.append(note, desk);
  if (!begun.has(key)) begun.set(key, { drafts: new Map(), note: null, at: null });
  const kept = begun.get(key);
  // What the page before waited for is answered there.
  for (const mine of kept.drafts.values()) mine.busy = false;
  const queue = waitingList(ask, () => refresh());
  let [drawn, state, place, goOn] = [null, null, 0, false];

  function draft(key) {
    const empty = { chosen: [], edits: {}, reason: "", comment: "", rejecting: false, says: "", busy: false };
    if (!kept.drafts.has(key)) kept.drafts.set(key, empty);
    return kept.drafts.get(key);
  }

  // What somebody else was first to decide is said until it is dismissed, or the reader goes on; that an option is being made,
  // until it is there.
  function tell(words, title = "", state = "failed", made = null) {
    kept.note = words ? { words, title, state, made } : null;
    note.hidden = !kept.note;
    if (!kept.note) return note.replaceChildren();
    const text = make("span");
    if (title) text.append(make("b", "", `${title}: `));
    text.append(words);
    note.className = `note ${state}`;
    note.replaceChildren(icon(state), text, button("Dismiss", () => { tell(""); refresh(); }, "quiet"));
  }

  function update(now) {
    state = now;
    queue.update(now);
    refresh();
  }

  function refresh() {
    const waiting = isOver(state) ? [] : queue.list();
    const here = waiting.findIndex(([key]) => key === kept.at);
    if (here < 0 && drawn) drawn = null;
    const keys = new Set(waiting.map(([key]) => key));
    const made = kept.note?.made;
    if (made && waiting.some(([key, { mark }]) => key === made.key && mark !== made.mark)) tell("");
    for (const [key, mine] of kept.drafts) {
      if (keys.has(key)) mine.looked = false;
      else if (!mine.looked && mine.review) ended(key, mine);
    }
    // The row that is looked at stays, whatever is decided elsewhere.
    place = here >= 0 ? here : Math.max(0, Math.min(place, waiting.length - 1));
    desk.hidden = !waiting.length;
    box.hidden = desk.hidden && note.hidden;
    if (!waiting.length) {
      if ((goOn || box.contains(active(box))) && isFree()) leave();
      drawn = null;
      return;
    }
    const [key, review] = waiting[place];
    kept.at = key;
    // Somebody may be typing here: another row that waits changes the count and nothing else.
    if (drawn && drawn[0] === key && alike(drawn[1], review)) return turn.update();
    drawn = [key, review];
    show(key, review);
  }

  // Decided by somebody else, while something was begun here, looked at or not.
  function ended(key, mine) {
    if (mine.busy || !(mine.chosen.length || mine.comment || mine.reason)) return;
    mine.looked = true;
    const { review } = mine;
    ask("job", { node: review.node, item: review.item }, ({ job }) => {
      if (!job?.decision) return;
      kept.drafts.delete(key);
      tell(verdict(job.decision), titleOf(review));
      refresh();
    }, { quiet: true });
  }

  // Whoever writes or chooses goes on where that was, also when it is drawn anew.
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
    const title = make("h5");
    title.append(make("span", "", titleOf(review)), make("span", "end", `choose ${review.choose}`), turn.box);
    const sheet = make("fieldset", review.options.some(({ image }) => image) ? "sheet" : "sheet wordy");
    sheet.setAttribute("aria-label", `Options of ${review.node}`);
    const row = make("div", "row");
    const says = make("p", "says bad", mine.says);
    says.setAttribute("role", "alert");
    says.hidden = !mine.says;

    function edits() {
      const wanted = Object.entries(mine.edits).filter(([index]) => mine.chosen.includes(Number(index)));
      return Object.fromEntries(wanted);
    }
    function decide(kind, what) {
      const at = focused();
      tell("");
      mine.busy = goOn = true;
      ready();
      ask(kind, { node: review.node, item: review.item, ...what }, (answer) => {
        mine.busy = false;
        mine.says = answer.ok ? "" : [answer.error, answer.hint].filter(Boolean).join("\n");
        const isOver = answer.ok ? kind !== "another" : answer.waits === false;
        if (isOver) {
          queue.drop(key, review);
          kept.drafts.delete(key);
        } else goOn = false;
        if (answer.ok && kind === "another") {
          tell("one more option is being made. The row comes back with it.", titleOf(review), "running", { key, mark: review.mark });
        }
        if (isOver && !answer.ok) tell(answer.decision ? verdict(answer.decision) : mine.says, titleOf(review));
        if (!isOver) redraw(at);
        refresh();
      });
    }
    function ready() {
      approve.disabled = mine.busy || mine.chosen.length !== review.choose;
      const missing = review.choose - mine.chosen.length;
      approve.title = missing > 0 ? `Choose ${missing} more` : "";
      reject.disabled = another.disabled = mine.busy;
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

    // Digits choose, Enter approves: a row is decided without the mouse.
    sheet.addEventListener("keydown", (event) => {
      const option = review.options[Number(event.key) - 1];
      if (event.key === "Enter") approve.click();
      else if (option && event.key.length === 1) {
        choose(option.index, !mine.chosen.includes(option.index));
        sheet.querySelectorAll(".pick input")[Number(event.key) - 1]?.focus();
      } else return;
      event.preventDefault();
      event.stopPropagation();
    });

    const name = `xtyl-${Math.random().toString(36).slice(2)}`;
    for (const option of review.options) sheet.append(pick(option, review, mine, name, choose));
    if (review.hidden) sheet.append(make("p", "soft", `${review.hidden} more: run.reviews() lists them all`));
    const approve = marked("approve", button("Approve", () => decide("approve", { choose: mine.chosen, edits: edits(), comment: mine.comment }), "main"));
    const reject = marked("reject", button(mine.rejecting ? "Reject" : "Reject…", () => {
      if (mine.rejecting) return decide("reject", { reason: mine.reason });
      mine.rejecting = true;
      redraw({ at: "reason" });
    }));
    const another = marked("another", button("Another", () => decide("another", { comment: mine.comment })));
    another.setAttribute("aria-label", another.title = "Ask for another option");
    const keep = marked("keep", button("Keep", () => { mine.rejecting = false; redraw({ at: "reject" }); }));
    if (mine.rejecting) row.append(words(mine, "reason", "Why? (kept with the decision)", () => reject.click()), reject, keep);
    else row.append(approve, words(mine, "comment", "Comment (optional)", () => approve.click()), another, reject);
    const parts = [title, sheet, row, says];
    if (review.instructions) parts.splice(1, 0, make("p", "soft", review.instructions));
    desk.replaceChildren(...parts);
    turn.update();
    ready();
    // Whoever decides goes on with the next row where the last one was; whoever went elsewhere meanwhile is left there.
    if (goOn && !mine.busy && isFree()) focus({ at: `option ${review.options[0]?.index}` });
    else if (spot) focus(spot);
    if (!mine.busy) goOn = false;
  }

  const turn = turner();
  function turner() {
    const node = make("span", "soft turner");
    const count = make("span");
    let asking = false;
    const go = (step) => {
      const waiting = queue.list();
      if (!waiting[place + step]) return;
      tell("");
      place += step;
      kept.at = waiting[place][0];
      refresh();
    };
    // A few are sent at a time; whoever leafs beyond them asks for the next.
    const step = (by) => marked(by < 0 ? "back" : "on", button(by < 0 ? "‹" : "›", () => {
      if (place + by < queue.list().length) return go(by);
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
      node.hidden = total < 2;
      count.textContent = ` ${place + 1} of ${total} `;
      back.disabled = place === 0;
      on.disabled = asking || place >= total - 1;
    }
    return { box: node, update };
  }

  if (kept.note) tell(kept.note.words, kept.note.title, kept.note.state, kept.note.made);
  else tell("");
  return { box, update, close: queue.close };
}

// A row that waits again, after a retry say, may offer others: what was chosen and written of those is over.
function renew(mine, review) {
  const marks = ({ options }) => new Map(options.map(({ index, mark }) => [index, mark]));
  const [before, now] = [marks(mine.review ?? review), marks(review)];
  const stays = (index) => before.get(index) === now.get(index);
  mine.chosen = mine.chosen.filter(stays);
  mine.edits = Object.fromEntries(Object.entries(mine.edits).filter(([index]) => stays(Number(index))));
  mine.review = review;
}
