// Images as large as the window, in the browser's own dialog: arrow keys show the next, Escape or a click returns to the page. Two
// may stand side by side. `take` chooses among options.
function enlarger(root, ask) {
  const box = make("dialog", "enlarged");
  let [all, place, beside, take] = [[], 0, false, null];
  const close = button("Close", () => box.close(), "quiet");
  box.addEventListener("click", ({ target }) => { if (!target.closest("button")) box.close(); });
  box.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) show((place + step + all.length) % all.length);
    else if (event.key === "2" && all.length > 1) side();
    else if (event.key === "Enter" && take && event.target === close) pick(place);
    else return event.stopPropagation();
    event.preventDefault();
    // The notebook has keys of its own.
    event.stopPropagation();
  });
  root.append(box);

  function side() {
    beside = !beside;
    show(place);
  }
  function pick(at) {
    take.choose(at);
    box.close();
  }

  function show(next) {
    place = next;
    const places = beside ? [place, (place + 1) % all.length] : [place];
    const line = make("p");
    line.append(make("span", "soft", all.length > 1 ? `${places.map((at) => at + 1).join(" and ")} of ${all.length} · ← →` : ""));
    if (all.length > 1) line.append(button(beside ? "One at a time" : "Side by side", side, "quiet"));
    line.append(close);
    const figures = make("div", "figures");
    figures.append(...places.map(figure));
    box.classList.toggle("two", beside);
    box.setAttribute("aria-label", `Image: ${all[place].words}`);
    box.replaceChildren(figures, line);
    close.focus();
  }

  function figure(at) {
    const { image, words, of, kind = "image" } = all[at];
    const node = make("figure");
    const under = make("figcaption");
    under.append(make("span", "", words));
    if (take) under.append(button(take.isOn(at) ? "Chosen" : "Choose this", () => pick(at), "main"));
    const draw = (source) => {
      const shown = picture(source);
      shown.alt = words;
      node.replaceChildren(shown, under);
    };
    draw(image);
    // The page itself holds a small copy.
    ask(kind, of, (answer) => {
      const whole = answer.image ?? answer.data;
      if (whole && node.isConnected) draw(whole);
    }, { quiet: true });
    return node;
  }
  return (images, at, taking = null) => {
    [all, beside, take] = [images, false, taking];
    if (!box.open) box.showModal();
    show(at);
  };
}
