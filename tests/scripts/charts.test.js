import assert from "node:assert/strict";
import { test } from "node:test";

import { AXES, smoothValues, timeUnit } from "../../asrkit/ui/common/axes.js";
import { buildPage, escapeHtml } from "../../asrkit/ui/common/chart_export.js";
import { nearEnd } from "../../asrkit/ui/runs/comparison.js";
import { trendPoints } from "../../asrkit/ui/runs/trend.js";
import { addMarks } from "../../asrkit/ui/train/chart_marks.js";
import { PLOTS, SERIES } from "../../asrkit/ui/train/chart_series.js";
import { legendHeight, makeTrace, shortenName } from "../../asrkit/ui/train/chart_traces.js";

test("smoothing keeps a constant, and gaps", () => {
  assert.deepEqual(smoothValues([2, 2, null, 2], 0.9).map((value) => value && +value.toFixed(9)), [2, 2, null, 2]);
});

test("smoothing is the bias-corrected exponential mean", () => {
  assert.deepEqual(smoothValues([1, 4], 0.5), [1, (0.25 * 1 + 0.5 * 4) / 0.75]);
});

test("no smoothing changes nothing", () => assert.deepEqual(smoothValues([3, 1, 2], 0), [3, 1, 2]));

test("the unit of time follows the length of the axis", () => {
  assert.deepEqual([60, 121, 7201].map((end) => timeUnit(end).seconds), [1, 60, 3600]);
  assert.equal(AXES.t.scale(7200, 7201), 2);
  assert.equal(AXES.t.title(60), "elapsed seconds");
  assert.equal(AXES.x.scale(7200, 7201), 7200);
});

test("a long card is cut near the end of the runs", () => {
  assert.equal(nearEnd(100, [10, 50, 9000]), 103);
  assert.equal(nearEnd(100, [10, 200, 9000]), 206);
  assert.equal(nearEnd(100, [10, 900, 9000]), 412);
  assert.equal(nearEnd(100, [10]), 103);
});

test("a trend fills its picture with the lowest value at the bottom", () => {
  assert.deepEqual(trendPoints([1, 0, 0.5]), [[3, 3], [45, 19], [87, 11]]);
  assert.ok(trendPoints([1, 1]).flat().every(Number.isFinite));
});

test("each series stands in one chart", () => {
  assert.equal(new Set(SERIES).size, SERIES.length);
  assert.ok(SERIES.every((name) => Object.values(PLOTS).some((plot) => plot.curves.includes(name))));
});

test("curves of datasets differ in colour and symbol, and carry the names", () => {
  const options = { x: [1], y: [0.5], percent: true, colour: (name) => name };
  const traces = ["a/b", "c"].map((name, datasetIndex) => makeTrace(`eval/wer/${name}`, { ...options, datasetIndex }));
  assert.ok(traces[0].name.includes("a/b"), traces[0].name);
  assert.deepEqual(traces.map(({ line }) => line.color), ["--curve-dataset-0", "--curve-dataset-1"]);
  assert.notEqual(traces[0].marker.symbol, traces[1].marker.symbol);
});

test("a chart grows by the rows that the names of datasets take in its legend", () => {
  assert.equal(legendHeight(0, 300), 0);
  assert.equal(legendHeight(4, 300), 2 * legendHeight(4, 400));
  assert.equal(legendHeight(1, 0), legendHeight(1, 1000));
});

test("long names of datasets lose their middle", () => {
  assert.equal(shortenName("callsigns"), "callsigns");
  const short = shortenName("hub:mozilla-foundation/common_voice_17_0:sw");
  assert.equal(short.length, 30);
  assert.ok(short.startsWith("hub:mozilla") && short.endsWith("_17_0:sw"), short);
});

const MARKS = {
  entropy: 2.9,
  best: { step: 4, text: "WER 3 %" },
  findings: [{ step: 2, code: "stuck", cause: "It is stuck." }, { step: null, code: "early", cause: "" }],
};

test("marks of the best evaluation and of findings", () => {
  const { shapes, annotations } = addMarks("loss", MARKS, (step) => 10 * step, (name) => name);
  assert.deepEqual(annotations.map(({ text, x }) => [text, x]), [["best", 40], ["stuck", 20], ["early", 0]]);
  assert.deepEqual(shapes.map(({ y0 }) => y0), [2.9, 0, 0, 0]);
});

test("a step that no curve has reached is not marked", () => {
  assert.deepEqual(addMarks("rates", MARKS, () => null, String), { shapes: [], annotations: [] });
  assert.deepEqual(addMarks("speed", MARKS, Number, String), { shapes: [], annotations: [] });
});

test("nothing from a run ends the script of an exported page", () => {
  const chart = { plot: { data: [{ name: "</script><b>" }], layout: {} }, title: "Loss" };
  const page = buildPage([chart], "a <b> & c", "/* plotly */", { background: "white", text: "black" });
  assert.ok(!page.includes("</script><b>"));
  assert.ok(page.includes("<h1>a &lt;b&gt; &amp; c</h1>"));
  assert.equal(escapeHtml('<"&>'), "&lt;&quot;&amp;&gt;");
});
