// Images as large as the window, in the browser's own dialog: arrow keys show the next, Escape or a click returns to the page.
function enlarger(root, ask) {
  const box = make("dialog", "enlarged");
  let [all, place] = [[], 0];
  const close = button("Close", () => box.close(), "quiet");
  box.addEventListener("click", () => box.close());
  box.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) show((place + step + all.length) % all.length);
    // The notebook has keys of its own.
    event.stopPropagation();
  });
  root.append(box);

  function show(next) {
    place = next;
    const { image, words, of } = all[place];
    const line = make("p");
    line.append(make("span", "", words), make("span", "soft", all.length > 1 ? `${place + 1} of ${all.length} · ← →` : ""), close);
    const draw = (source) => {
      const shown = picture(source);
      shown.alt = words;
      box.replaceChildren(shown, line);
    };
    box.setAttribute("aria-label", `Image: ${words}`);
    draw(image);
    close.focus();
    // The page itself holds a small copy.
    ask("image", of, (answer) => {
      if (all[place]?.of !== of || !answer.image) return;
      draw(answer.image);
      close.focus();
    }, { quiet: true });
  }
  return (images, at) => {
    all = images;
    if (!box.open) box.showModal();
    show(at);
  };
}
