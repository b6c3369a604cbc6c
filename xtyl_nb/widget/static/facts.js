// What a person knows of the row that is decided: its columns in a strip, and the prompt behind each option.
function rowFacts(ask) {
  const known = new Map();

  function read(review, done) {
    const key = `${review.node}/${review.item}/${review.mark}`;
    if (known.has(key)) return done(known.get(key));
    ask("row", { node: review.node, item: review.item }, (answer) => {
      if (!answer.ok) return;
      known.set(key, answer);
      done(answer);
    }, { quiet: true });
  }

  function strip(review) {
    const list = make("p", "strip soft");
    list.hidden = true;
    read(review, ({ facts }) => {
      for (const [name, value] of facts) {
        const pair = make("span", "", name);
        pair.append(make("b", "", value));
        list.append(pair);
      }
      list.hidden = !facts.length;
    });
    return list;
  }

  // One click shows how the option was asked for, the next hides it.
  function prompt(review, place) {
    const box = make("div", "asked");
    const text = make("p", "soft");
    text.hidden = true;
    const show = button("prompt", () => {
      text.hidden = !text.hidden;
      show.setAttribute("aria-expanded", String(!text.hidden));
      if (text.textContent) return;
      text.textContent = "Looking…";
      read(review, ({ sources }) => {
        const [node, item] = sources[place] ?? [];
        if (node === undefined) return void (text.textContent = "The step that made this keeps no prompt.");
        ask("job", { node, item }, ({ ok, error, job }) => {
          const asked = Object.fromEntries(job?.asked ?? []);
          text.textContent = ok ? asked.prompt ?? job.asked.map((pair) => pair.join(": ")).join("\n") : error ?? "";
        });
      });
    }, "link");
    show.setAttribute("aria-label", `Prompt of option ${place + 1}`);
    show.setAttribute("aria-expanded", "false");
    box.append(show, text);
    return box;
  }
  return { strip, prompt };
}
