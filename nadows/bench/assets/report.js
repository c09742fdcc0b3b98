// Charts are drawn already; here each gets a button that puts one in its place that can be zoomed and read.
(() => {
  const data = JSON.parse(document.getElementById('charts').textContent);
  const tint = getComputedStyle(document.body).color;
  const ns = v => v == null ? '' : v >= 1e9 ? +(v / 1e9).toPrecision(3) + ' s' : v >= 1e6 ?
    +(v / 1e6).toPrecision(3) + ' ms' : v >= 1e3 ? +(v / 1e3).toPrecision(3) + ' us' : v + ' ns';
  const percent = v => v <= 1 ? '0 %' : +(100 - 100 / v).toPrecision(8) + ' %';
  const isDecade = v => v != null && Math.abs(Math.log10(v) % 1) < 1e-9;
  const xText = (chart, v) => chart.percentiles ? percent(v) : +v.toFixed(2) + ' s';
  const yText = (chart, v) => v == null ? '-' : chart.times ? ns(v) : String(v);

  function plot(chart, figure, drawn) {
    const axis = more => Object.assign(
      {stroke: tint, grid: {stroke: '#88888826', width: 1}, ticks: {show: false}}, more);
    const onlyDecades = at => at.map(v => isDecade(v) ? v : null);
    const width = () => figure.clientWidth;
    const made = new uPlot({
      width: width(), height: 260,
      scales: {x: {time: false, distr: chart.percentiles ? 3 : 1},
               y: chart.times ? {distr: 3} : {range: (u, low, high) => [0, high * 1.05 || 1]}},
      axes: [
        axis({filter: (u, at) => chart.percentiles ? onlyDecades(at) : at,
              values: (u, at) => at.map(v => v == null ? '' : xText(chart, v))}),
        axis({size: 66, filter: (u, at) => chart.times ? onlyDecades(at) : at,
              values: (u, at) => at.map(v => v == null ? '' : yText(chart, v))}),
      ],
      series: [{label: 'at', value: (u, v) => v == null ? '-' : xText(chart, v)}].concat(
        chart.series.map(s => ({
          label: s.name, stroke: s.colour, width: 1.6, spanGaps: true, points: {show: false},
          dash: s.dash ? s.dash.split(' ').map(Number) : undefined, value: (u, v) => yText(chart, v),
        }))),
    }, [chart.x].concat(chart.series.map(s => s.y)));
    drawn.replaceWith(made.root);
    addEventListener('resize', () => made.setSize({width: width(), height: 260}));
  }

  for (const chart of data) {
    const figure = document.getElementById(chart.id), drawn = figure.querySelector('svg');
    const button = document.createElement('button');
    button.textContent = 'zoom';
    button.title = 'drag to zoom, double-click to see all';
    button.onclick = () => { plot(chart, figure, drawn); button.remove(); };
    figure.querySelector('figcaption').append(' ', button);
  }
})();
