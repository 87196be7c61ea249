// Runs in a page with one frame, the report at some width; leaves what it saw as JSON in the body.
function report() {
  const frame = document.querySelector("iframe");
  const page = frame.contentDocument;
  const view = frame.contentWindow;
  page.querySelectorAll("details").forEach((details) => (details.open = true));

  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const background = (element) => {
    for (let node = element; node; node = node.parentElement) {
      const [r, g, b, alpha = 1] = channels(view.getComputedStyle(node).backgroundColor);
      if (alpha === 1) return [r, g, b];
      if (alpha !== 0) throw new Error(`half transparent background of ${node.outerHTML}`);
    }
    throw new Error("no background");
  };

  const lowest = {};
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.getClientRects().length) continue;
    const style = view.getComputedStyle(element);
    const figure = element.closest("svg");
    const kind = figure ? "figure" : element.closest("a") ? "link" : element.closest("table") ? "table" : "body";
    const ratio = contrast(channels(figure ? style.fill : style.color).slice(0, 3), background(element));
    if (!(kind in lowest) || ratio < lowest[kind].ratio) lowest[kind] = { ratio, text: element.textContent };
  }

  const outside = [];
  let smallest = Infinity;
  for (const text of page.querySelectorAll("svg text")) {
    const box = text.getBoundingClientRect();
    const around = text.ownerSVGElement.getBoundingClientRect();
    const past = Math.max(around.left - box.left, box.right - around.right, around.top - box.top, box.bottom - around.bottom);
    if (past > 1) outside.push(`${text.textContent}: ${past}`);
    smallest = Math.min(smallest, parseFloat(view.getComputedStyle(text).fontSize) * text.getScreenCTM().a || Infinity);
  }

  const root = page.documentElement;
  return {
    width: view.innerWidth,
    dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
    scrollWidth: root.scrollWidth,
    clientWidth: root.clientWidth,
    resources: view.performance.getEntriesByType("resource").map((entry) => entry.name),
    scripts: page.scripts.length,
    lowest,
    outside,
    smallest,
    lost: [...page.querySelectorAll('a[href^="#"]')]
      .map((link) => link.getAttribute("href"))
      .filter((href) => !page.getElementById(href.slice(1))),
    records: [...page.querySelectorAll("a.record")].map((link) => link.href),
    columns: [...page.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth).length,
  };
}
window.addEventListener("load", () => {
  let seen;
  try {
    seen = report();
  } catch (error) {
    seen = { error: String(error) };
  }
  document.body.textContent = JSON.stringify(seen);
});
