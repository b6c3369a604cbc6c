// More pictures than these are shown smaller.
const MANY_OPTIONS = 8;

// The parts of a review: its options, the fields beside them, and the words of a decision.
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
  return `${action}${options} by ${by || "a person"} at +${lasted(at)}`;
}

// Typed keys stay in the field, except those pressed with Ctrl, Alt or Command, such as the one that saves.
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

// The least width of an option: short texts stand beside each other, long ones below.
function least(options) {
  const longest = Math.max(0, ...options.map(({ text }) => text?.length ?? 0));
  const least = longest > 200 ? "100%" : longest > 80 ? "min(240px, 100%)" : "132px";
  if (!options.some(({ image }) => image)) return least;
  return options.length > MANY_OPTIONS ? "min(150px, 100%)" : "min(240px, 100%)";
}

function pick(option, review, mine, name, choose, large) {
  const box = make("label", option.image ? "pick" : "pick plain");
  const input = marked(`option ${option.index}`, make("input"));
  input.type = review.choose === 1 ? "radio" : "checkbox";
  input.name = name;
  // By name: without it, a label presses its first button, which is the one that enlarges.
  box.htmlFor = input.id = `${name}-${option.index}`;
  input.value = option.index;
  input.setAttribute("aria-label", option.text ?? `option ${option.index + 1}`);
  input.addEventListener("change", () => choose(option.index, input.checked));
  if (option.image) {
    const glass = button("", () => large(option), "glass");
    glass.append(icon("large"));
    glass.setAttribute("aria-label", `Enlarge option ${option.index + 1}`);
    glass.title = "Enlarge (z)";
    // Not a tab stop: there would be one for each image before Approve, and a key does the same.
    glass.tabIndex = -1;
    box.append(picture(option.image), glass);
  }
  const line = make("span", "line");
  const fields = option.fields.length ? option.fields : option.text === null ? [] : [["", option.text]];
  const words = fields.map(([, text]) => text).join("\n");
  line.append(input, make("span", "words", words || (option.image ? `option ${option.index + 1}` : "")));
  box.append(line);
  if (review.edit && fields.length) line.append(editors(option.index, fields, mine));
  return box;
}

// A field for each text of an option. Of an answer, only what was changed is sent.
function editors(index, fields, mine) {
  const box = make("span", "fields");
  for (const [name, given] of fields) {
    const text = marked(`text ${index}${name}`, make("textarea"));
    text.value = (name ? mine.edits[index]?.[name] : mine.edits[index]) ?? given;
    // As high as its text, up to a limit, even in browsers that cannot size it by themselves.
    text.rows = Math.max(3, Math.min(12, Math.ceil(text.value.length / (text.value.length > 200 ? 80 : 22))));
    text.setAttribute("aria-label", `Edit ${name || "the text"} of option ${index + 1}`);
    const edited = () => name ? { ...mine.edits[index], [name]: text.value } : text.value;
    text.addEventListener("input", () => { mine.edits[index] = edited(); });
    text.addEventListener("keydown", aside);
    if (name) box.append(make("span", "soft", name));
    box.append(text);
  }
  return box;
}
