function reviews(ask, tell) {
  const box = make("div", "review");
  const drafts = new Map();
  let [at, drawn, waiting, more, ended] = [0, null, [], {}, false];

  function draft(key) {
    if (!drafts.has(key)) drafts.set(key, { chosen: [], edits: {}, reason: "", comment: "", rejecting: false, says: "", busy: false });
    return drafts.get(key);
  }

  function update(state) {
    waiting = Object.entries({ ...state.reviews, ...more });
    for (const key of drafts.keys()) if (!state.reviews[key] && !more[key]) drafts.delete(key);
    // The row that is looked at stays, whatever is decided elsewhere.
    const here = waiting.findIndex(([key]) => key === drawn?.[0]);
    at = here >= 0 ? here : Math.max(0, Math.min(at, waiting.length - 1));
    box.hidden = !waiting.length || isOver(state);
    if (box.hidden) {
      drawn = null;
      return;
    }
    const [key, review] = waiting[at];
    const shown = [key, review, state.reviews_total];
    if (drawn && shown.every((part, place) => part === drawn[place])) return;
    const counts = drawn && drawn[0] === key && drawn[1] === review;
    drawn = shown;
    // Somebody may be typing here: another row that waits changes the count and nothing else.
    if (counts) return box.querySelector(".turner").replaceWith(turner(state.reviews_total));
    show(key, review, state.reviews_total);
  }

  function show(key, review, total) {
    const mine = draft(key);
    const redraw = () => show(key, review, total);
    const keys = box.contains(document.activeElement);
    const title = make("h5");
    title.append(make("span", "", `${review.node} · ${review.label || `row ${review.row}`}`));
    title.append(make("span", "end", `choose ${review.choose}`));
    const sheet = make("fieldset", review.options.some(({ image }) => image) ? "sheet" : "sheet wordy");
    sheet.setAttribute("aria-label", `Options of ${review.node}`);
    const row = make("div", "row");
    const approve = button("Approve", () => decide("approve", { choose: mine.chosen, edits: edits(), comment: mine.comment }), "main");
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
        if (answer.ok) delete more[key];
        if (drawn?.[0] === key) answer.ok ? ready() : redraw();
        // Somebody else was first, and the row is gone from here already.
        else if (!answer.ok) tell(mine.says, "failed");
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
    const reject = button(mine.rejecting ? "Reject" : "Reject…", () => {
      if (mine.rejecting) return decide("reject", { reason: mine.reason });
      mine.rejecting = true;
      redraw();
      box.querySelector(".reason").focus();
    });
    const another = button("Another", () => decide("another", { comment: mine.comment }));
    another.setAttribute("aria-label", another.title = "Ask for another option");
    row.append(...(mine.rejecting ? [words(mine, "reason", "Why? (kept with the decision)", () => reject.click()), reject, button("Keep", () => { mine.rejecting = false; redraw(); })] : [approve, words(mine, "comment", "Comment (optional)", () => approve.click()), another, reject]));
    row.append(turner(total));
    const parts = [title, sheet, row, says];
    if (review.instructions) parts.splice(1, 0, make("p", "soft", review.instructions));
    box.replaceChildren(...parts);
    ready();
    // Whoever decides by keyboard goes on with the next row where the last one was.
    if (keys && !mine.rejecting) sheet.querySelector("input")?.focus();
  }

  function turner(total) {
    const node = make("span", "end soft turner");
    if (total < 2) return node;
    const go = (step) => {
      at += step;
      const [key, review] = waiting[at];
      drawn = [key, review, total];
      show(key, review, total);
    };
    // A few are sent at a time; whoever leafs beyond them asks for the next.
    const turn = (step) => button(step < 0 ? "‹" : "›", () => {
      if (at + step < waiting.length) return go(step);
      ask("reviews", { start: waiting.length }, (answer) => {
        ended = !Object.keys(answer.reviews).length;
        Object.assign(more, answer.reviews);
        waiting = Object.entries({ ...Object.fromEntries(waiting), ...more });
        go(ended ? 0 : step);
      });
    }, "quiet");
    const [back, on] = [turn(-1), turn(1)];
    back.setAttribute("aria-label", "previous review");
    on.setAttribute("aria-label", "next review");
    back.disabled = at === 0;
    on.disabled = at >= (ended ? waiting.length : total) - 1;
    node.append(back, ` ${at + 1} of ${total} `, on);
    return node;
  }
  return { box, update };
}

function words(mine, name, placeholder, enter) {
  const input = make("input", name);
  input.type = "text";
  input.placeholder = placeholder;
  input.setAttribute("aria-label", placeholder);
  input.value = mine[name];
  input.addEventListener("input", () => { mine[name] = input.value; });
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
  const line = make("span", "line");
  line.append(input, make("span", "words", option.text ?? (option.image ? `option ${option.index + 1}` : "")));
  box.append(line);
  if (review.edit && option.text !== null) {
    const text = make("textarea");
    text.value = mine.edits[option.index] ?? option.text;
    // As high as what it holds, within reason.
    text.rows = Math.max(3, Math.min(10, Math.ceil(text.value.length / 34)));
    text.setAttribute("aria-label", `Edit the text of option ${option.index + 1}`);
    text.addEventListener("input", () => { mine.edits[option.index] = text.value; });
    text.addEventListener("keydown", (event) => event.stopPropagation());
    line.append(text);
  }
  return box;
}
