// The form of one review: its options, the texts beside them, and the buttons. `mine` is the unfinished decision.
function reviewForm(review, mine, { isAway, send, redraw, enlarge, facts }) {
  const sheet = make("fieldset", "sheet");
  sheet.style.setProperty("--least", least(review.options));
  sheet.setAttribute("aria-label", `Options of ${review.node}`);
  const name = `xtyl-${Math.random().toString(36).slice(2)}`;
  for (const option of review.options) {
    const box = make("div", "option");
    box.append(pick(option, review, mine, name, choose, large), facts.prompt(review, option.index));
    sheet.append(box);
  }
  if (review.hidden) sheet.append(make("p", "soft", `${review.hidden} more: run.reviews() lists them all`));
  sheet.addEventListener("keydown", press);
  const says = make("p", "says bad", mine.says);
  says.setAttribute("role", "alert");
  says.hidden = !mine.says;
  const { row, approve, reject, another } = acts();

  function choose(index, on) {
    const others = mine.chosen.filter((other) => other !== index);
    // One choice too many replaces the oldest, so that none has to be cleared first.
    mine.chosen = on ? [...others, index].slice(-review.choose) : others;
    ready();
  }

  function large(option) {
    const shown = review.options.filter(({ image }) => image);
    const all = shown.map(({ index, text, image }) => ({
      image, words: text ?? `option ${index + 1}`, of: { node: review.node, item: review.item, option: index },
    }));
    const take = { isOn: (at) => mine.chosen.includes(shown[at].index), choose: (at) => choose(shown[at].index, true) };
    if (option.image) enlarge(all, shown.indexOf(option), take);
  }

  // Digits choose, Enter approves: a row is decided without the mouse.
  function press(event) {
    const option = review.options[Number(event.key) - 1];
    const focused = review.options.find(({ index }) => event.target.dataset.at === `option ${index}`);
    if (event.key === "Enter" && event.target.tagName !== "BUTTON") approve.click();
    else if (event.key === "z" && focused) large(focused);
    else if (option && event.key.length === 1) {
      choose(option.index, !mine.chosen.includes(option.index));
      sheet.querySelectorAll(".pick input")[Number(event.key) - 1]?.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function acts() {
    const row = make("div", "row");
    const approve = marked("approve", button("Approve", () => send("approve", {
      choose: mine.chosen, edits: edited(mine), comment: mine.comment,
    }), "main"));
    const another = marked("another", button("One more", () => send("another", { comment: mine.comment })));
    another.setAttribute("aria-label", another.title = "Ask for another option");
    const reject = marked("reject", button(mine.rejecting ? "Reject" : "Reject…", () => {
      if (mine.rejecting) return send("reject", { reason: mine.reason });
      mine.rejecting = true;
      redraw({ at: "reason" });
    }));
    const keep = marked("keep", button("Back", () => {
      mine.rejecting = false;
      redraw({ at: "reject" });
    }));
    if (mine.rejecting) row.append(words(mine, "reason", "Reason (kept with the decision)", () => reject.click()), reject, keep);
    else row.append(approve, words(mine, "comment", "Comment (optional)", () => approve.click()), another, reject);
    return { row, approve, reject, another };
  }

  // Shows the possible actions and the chosen options.
  function ready() {
    const isShut = mine.busy || isAway();
    const missing = review.choose - mine.chosen.length;
    sheet.disabled = isAway();
    approve.disabled = isShut || missing !== 0;
    approve.title = missing > 0 ? `Choose ${missing} more` : "";
    reject.disabled = another.disabled = isShut;
    for (const pick of sheet.querySelectorAll(".pick")) {
      const [input, ...texts] = [pick.querySelector("input"), ...pick.querySelectorAll(".fields, textarea")];
      input.checked = mine.chosen.includes(Number(input.value));
      pick.classList.toggle("on", input.checked);
      for (const text of texts) text.toggleAttribute("hidden", !input.checked);
      // Edited texts replace the original.
      pick.querySelector(".words").toggleAttribute("hidden", texts.length > 0 && input.checked);
    }
  }
  const instructions = review.instructions ? [make("p", "soft", review.instructions)] : [];
  return { parts: [...instructions, sheet, row, says], ready };
}

// The edited texts of the chosen options.
function edited({ chosen, edits }) {
  return Object.fromEntries(Object.entries(edits).filter(([index]) => chosen.includes(Number(index))));
}

// A row that waits again, for example after a retry, may offer other options: choices and edits of the old ones are dropped.
function renew(mine, review) {
  const marks = ({ options }) => new Map(options.map(({ index, mark }) => [index, mark]));
  const [before, now] = [marks(mine.review ?? review), marks(review)];
  const stays = (index) => before.get(index) === now.get(index);
  mine.chosen = mine.chosen.filter(stays);
  mine.edits = Object.fromEntries(Object.entries(mine.edits).filter(([index]) => stays(Number(index))));
  mine.review = review;
}
