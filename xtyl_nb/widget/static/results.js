// What came of each row: its picture, its texts, and what may be done with them.
const RESULTS_AT_ONCE = 24;

function results(ask, enlarge, open) {
  const box = make("div", "results");
  const says = make("p", "bad");
  const sheet = make("div", "cards");
  const more = button("", () => look(shown), "quiet");
  more.hidden = true;
  box.append(says, sheet, more);
  let [known, shown, timer] = [null, 0, null];

  function look(start) {
    ask("results", { start, count: start ? RESULTS_AT_ONCE : Math.max(RESULTS_AT_ONCE, shown) }, (answer) => {
      says.textContent = answer.ok ? "" : [answer.error, answer.hint].filter(Boolean).join("\n");
      if (!answer.ok) return;
      const cards = answer.results.map(cardOf);
      if (start) sheet.append(...cards);
      else sheet.replaceChildren(...cards);
      shown = start + answer.results.length;
      const left = answer.total - shown;
      more.hidden = left < 1;
      more.textContent = `${Math.min(left, RESULTS_AT_ONCE)} more of ${left}`;
    }, { quiet: true });
  }

  function cardOf(each) {
    const isLost = each.error !== null;
    const card = make("article", `result ${isLost ? "failed" : each.state === "ready" ? "completed" : each.state}`);
    if (each.images.length) {
      const all = each.images.map((image, place) => ({ image, words: each.title ?? each.label, of: { row: each.row, place }, kind: "file" }));
      const show = button("", () => enlarge(all, 0), "plain");
      show.setAttribute("aria-label", `Enlarge the picture of ${each.label}`);
      show.append(picture(each.images[0]));
      card.append(show);
    } else if (isLost) card.append(make("p", "lost bad", `${each.error.node}: ${each.error.says}`));
    const words = make("div", "words");
    words.append(make("b", "", each.title ?? each.label));
    const by = each.by ? `chosen by ${each.by}` : "";
    const stands = isLost ? "failed" : each.state === "ready" ? "" : CELL_WORDS[each.state] ?? each.state;
    words.append(make("span", "soft", [each.title ? each.label : "", ...each.facts, by, stands].filter(Boolean).join(" · ")));
    for (const [name, text] of each.texts.slice(1, 4)) words.append(make("span", "text", `${name}: ${text}`));
    card.append(words, acts(each, isLost));
    return card;
  }

  function acts(each, isLost) {
    const row = make("div", "row");
    if (each.texts.length) row.append(button("Copy text", (event) => copy(each.texts, event.target), "link"));
    if (each.images.length) {
      row.append(button("Download", () => fetched(each, (name, url) => save(name, url)), "link"));
      row.append(button("Open", () => fetched(each, (_, url) => window.open(url, "_blank", "noopener")), "link"));
    }
    if (isLost) row.append(button("Traceback", () => open(each.error.node, each, each.error), "link"));
    return row;
  }

  // The image as it came, not the copy on this page.
  function fetched(each, use) {
    ask("file", { row: each.row, place: 0 }, (answer) => {
      says.textContent = answer.ok ? "" : [answer.error, answer.hint].filter(Boolean).join("\n");
      if (answer.ok) use(answer.name, URL.createObjectURL(blobOf(answer.data)));
    });
  }
  function save(name, url) {
    const link = make("a");
    Object.assign(link, { href: url, download: name });
    link.click();
  }
  async function copy(texts, pressed) {
    const all = texts.length === 1 ? texts[0][1] : texts.map(([name, text]) => `${name}: ${text}`).join("\n");
    try {
      await navigator.clipboard.writeText(all);
      pressed.textContent = "Copied";
    } catch {
      says.textContent = `The browser lets no page copy here. The text:\n${all}`;
    }
  }

  // Read again after events, at most once in two seconds.
  function update(state) {
    if (known === state.nodes) return;
    const isFirst = known === null;
    known = state.nodes;
    clearTimeout(timer);
    timer = setTimeout(() => look(0), isFirst ? 0 : 2000);
  }
  return { box, update, close: () => clearTimeout(timer) };
}

function blobOf(data) {
  const [, type, text] = data.match(/^data:([^;]+);base64,(.*)$/);
  return new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], { type });
}
