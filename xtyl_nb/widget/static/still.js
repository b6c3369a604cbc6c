const SETTLED = 1500;

// The still picture beside the widget is the kernel's to renew, but once a page was reloaded JupyterLab routes no updates to it any
// more, and the notebook would keep it as it was. Widgets there may see the notebook: the picture is found in it and renewed here.
function keeper(model, key, ask) {
  let [shows, timer] = [null, null];

  function find() {
    for (const cell of model.widget_manager?.context?.model?.cells ?? []) {
      const outputs = cell.outputs;
      for (let place = 0; place < (outputs?.length ?? 0); place++) {
        const output = outputs.get(place).toJSON();
        const html = [output.data?.["text/html"] ?? ""].flat().join("");
        const mark = html.match(`xtyl-still-${key} xtyl-is-([0-9a-f]+)`)?.[1];
        if (mark) return { outputs, place, output, mark };
      }
    }
    return null;
  }

  function renew() {
    const found = find();
    if (!found) return;
    ask("still", { mark: found.mark }, ({ html }) => {
      const now = html && find();
      if (now) now.outputs.set(now.place, { ...now.output, data: { ...now.output.data, "text/html": html } });
    }, { quiet: true });
  }

  // Whenever the kernel draws it again: when the run starts, pauses, waits for somebody or is over.
  function update({ state, waiting_for, reviews_total }) {
    const now = JSON.stringify([state, waiting_for, reviews_total]);
    if (now === shows) return;
    shows = now;
    clearTimeout(timer);
    timer = setTimeout(renew, SETTLED);
  }
  return { update, close: () => clearTimeout(timer) };
}
