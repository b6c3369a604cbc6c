// What a review is made of: its options, the fields beside them, and how a decision is told.
const titleOf = (review) => `${review.node} · ${review.label || `row ${review.row}`}`;

function marked(at, node) {
  node.dataset.at = at;
  return node;
}

function verdict(decision) {
  const why = decision.comment ? `: ${decision.comment}` : "";
  return `already decided: ${decidedBy(decision)}${why}. The first decision stands.`;
}

function decidedBy({ action, by, at, choice }) {
  const options = choice.length ? `, option${choice.length > 1 ? "s" : ""} ${choice.map((place) => place + 1).join(", ")},` : "";
  return `${action}${options} by ${by || "somebody"} at +${lasted(at)}`;
}

// What is written here is nobody else's key, but what is pressed with Ctrl, Alt or Command is: to save, say.
function aside(event) {
  if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
}

function words(mine, name, placeholder, enter) {
  const input = marked(name, make("input", name));
  input.type = "text";
  input.placeholder = placeholder;
  input.setAttribute("aria-label", placeholder);
  input.value = mine[name];
  input.addEventListener("input", () => { mine[name] = input.value; });
  input.addEventListener("keydown", (event) => {
    aside(event);
    if (event.key === "Enter") enter();
  });
  return input;
}

function pick(option, review, mine, name, choose) {
  const box = make("label", option.image ? "pick" : "pick plain");
  const input = marked(`option ${option.index}`, make("input"));
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
    const text = marked(`text ${option.index}`, make("textarea"));
    text.value = mine.edits[option.index] ?? option.text;
    // As high as what it holds, within reason.
    text.rows = Math.max(3, Math.min(10, Math.ceil(text.value.length / 22)));
    text.setAttribute("aria-label", `Edit the text of option ${option.index + 1}`);
    text.addEventListener("input", () => { mine.edits[option.index] = text.value; });
    text.addEventListener("keydown", aside);
    line.append(text);
  }
  return box;
}
