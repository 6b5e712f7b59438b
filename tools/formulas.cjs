// Sets formulas: formulas.cjs MATHJAX FONTS < [[tex, display], …] per page, as JSON
// > [{ style, formulas: [html, …] }, …], the style being what the page's formulas need.
const [mathjax, fonts] = process.argv.slice(2);
const { readFileSync } = require("node:fs");

async function main() {
  const MathJax = await require(`${mathjax}/node-main.js`).init({
    loader: { load: ["input/tex", "output/chtml", "a11y/assistive-mml"] },
    chtml: { fontURL: fonts },
    startup: { typeset: false },
  });
  const { adaptor, output } = MathJax.startup;
  // The scale is the style sheet's: here a formula is as large as its x-height says.
  const metrics = { em: 16, ex: 16 * output.font.params.x_height, containerWidth: 16 * 80 };

  const pages = [];
  for (const page of JSON.parse(readFileSync(0, "utf8"))) {
    output.clearCache();
    const formulas = [];
    for (const [tex, display] of page) {
      const node = await MathJax.tex2chtmlPromise(tex, { display, ...metrics });
      // A displayed formula may scroll sideways on a phone: by keys, too.
      if (display) adaptor.setAttribute(node, "tabindex", "0");
      formulas.push(adaptor.outerHTML(node));
    }
    pages.push({ style: adaptor.textContent(MathJax.chtmlStylesheet()), formulas });
  }
  process.stdout.write(JSON.stringify(pages));
}

main();
