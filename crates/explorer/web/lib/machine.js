// The drawing of a state machine, as SVG: from its definition, and coloured by what became of its states.

import { graph, started } from './asl.js';
import { s } from './dom.js';
import { layout, path } from './layers.js';

const LINE = 14; // The height of a line of small text.
const PAD = 12;
const HEAD = 26; // The height of a box's name.

/** How much room there is between and inside states, and for the lines of labels: less of it on a phone, where letters count. */
const ROOMY = { gap: 22, inside: 22, letters: 20, least: 92 };
const TIGHT = { gap: 9, inside: 12, letters: 12, least: 60 };

let measuring = null;

/** How wide a text is, in pixels. */
function widthOf(text, font) {
  measuring ??= document.createElement('canvas').getContext('2d');
  measuring.font = `${font} system-ui, "DejaVu Sans", sans-serif`;
  return measuring.measureText(text).width;
}

/** A text in lines of at most about `most` letters, broken at spaces. */
function lines(text, most) {
  const out = [];
  for (const word of text.split(' ')) {
    if (out.length && out.at(-1).length + word.length < most) out[out.length - 1] += ` ${word}`;
    else out.push(word);
  }
  return out;
}

const SIGNS = { running: '●', succeeded: '✓', caught: '↷', failed: '✗', stopped: '■' };
const WORDS = {
  running: 'running',
  succeeded: 'succeeded',
  caught: 'failed and caught',
  failed: 'failed',
  stopped: 'stopped',
};

export const sign = (outcome) => SIGNS[outcome] ?? '';
export const word = (outcome) => WORDS[outcome] ?? outcome;

/**
 * Draws `definition`. `about(name, state)` gives what is known of a state: `{ outcome, note, link, linkName }`, each if
 * there is any; `chosen` is the name of the state that is marked, and `choose(name)` is called for one that is clicked.
 */
export function drawing(definition, { about, chosen, choose, title }) {
  const options = { about, chosen, choose, room: matchMedia('(max-width: 640px)').matches ? TIGHT : ROOMY };
  const { width, height, parts } = level(graph(definition), options);
  const [w, hgt] = [Math.ceil(width + 2 * PAD), Math.ceil(height + 2 * PAD)];
  return s(
    'svg',
    { class: 'machine', viewBox: `0 0 ${w} ${hgt}`, width: w, height: hgt, role: 'group', 'aria-label': title },
    s(
      'defs',
      {},
      ['next', 'catch'].map((kind) =>
        s(
          'marker',
          {
            id: `arrow-${kind}`,
            class: `arrow ${kind}`,
            viewBox: '0 0 8 8',
            refX: 7,
            refY: 4,
            markerWidth: 7,
            markerHeight: 7,
            orient: 'auto',
          },
          s('path', { d: 'M0 0L8 4L0 8z' }),
        ),
      ),
    ),
    s('g', { transform: `translate(${PAD} ${PAD})` }, parts),
  );
}

/** Measures, places and draws the states of one machine. */
function level({ nodes, edges }, options) {
  for (const node of nodes) measure(node, options);
  for (const edge of edges) {
    edge.light = edge.kind === 'catch';
    edge.lines = edge.label ? lines(edge.label, options.room.letters) : [];
    edge.labelWidth = Math.max(0, ...edge.lines.map((line) => widthOf(line, '11px') + 6));
    edge.labelHeight = edge.lines.length * LINE;
  }
  const { width, height } = layout(nodes, edges, options.room.gap);
  const catches = (edge) => (edge.kind === 'catch' ? 0 : 1);
  const parts = [
    ...[...edges].sort((a, b) => catches(a) - catches(b)).map(line),
    ...nodes.map((node) => shape(node, options)),
  ];
  return { width, height, parts };
}

/** Gives a node its size; what is inside it is placed first. */
function measure(node, options) {
  if (node.kind === 'start' || node.kind === 'end') {
    Object.assign(node, { width: 52, height: 24 });
    return;
  }
  node.about = options.about(node.name, node.state) ?? {};
  node.note = note(node);
  const text = Math.max(widthOf(node.name, '600 13px') + (node.about.outcome ? 18 : 0), widthOf(node.note, '11px'));
  Object.assign(node, {
    width: Math.max(options.room.least, text + options.room.inside + (node.kind === 'Choice' ? 16 : 0)),
    height: 44,
  });
  if (!node.branches.length) return;
  node.inner = node.branches.map((branch) => level(branch, options));
  const inside = node.inner.reduce((sum, one) => sum + one.width + PAD, PAD);
  node.width = Math.max(node.width, inside);
  node.height = HEAD + Math.max(...node.inner.map((one) => one.height)) + PAD;
}

/** The second line of a state: what is known of it, or else what it does. */
const note = (node) =>
  node.about.note ?? (started(node.state) && node.about.linkName ? `starts ${node.about.linkName}` : kind(node));

function kind({ kind: type, state }) {
  if (type !== 'Wait') return type;
  if (state.Seconds) return `Wait ${state.Seconds} s`;
  const from = state.SecondsPath ?? state.TimestampPath ?? state.Timestamp;
  return from ? `Wait ${String(from).replace(/^\$\./, '')}` : type;
}

function line(edge) {
  const mark = edge.kind === 'catch' ? 'catch' : 'next';
  return s(
    'g',
    { class: `edge ${edge.kind}` },
    s('path', { d: path(edge), 'marker-end': `url(#arrow-${mark})` }),
    edge.label &&
      edge.lines.map((text, at) =>
        s(
          'text',
          { x: edge.label.x, y: edge.label.y + (at - (edge.lines.length - 1) / 2) * LINE + 4, 'text-anchor': 'middle' },
          text,
        ),
      ),
  );
}

function shape(node, options) {
  const [left, top] = [node.x - node.width / 2, node.y - node.height / 2];
  if (node.kind === 'start' || node.kind === 'end') {
    return s(
      'g',
      { class: 'terminal' },
      s('rect', { x: left, y: top, width: node.width, height: node.height, rx: node.height / 2 }),
      s('text', { x: node.x, y: node.y + 4, 'text-anchor': 'middle' }, node.kind === 'start' ? 'Start' : 'End'),
    );
  }
  const { outcome, link, linkName } = node.about;
  const choose = (event) => {
    if (event.type === 'keydown' && event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    options.choose(node.name);
  };
  const head = node.inner ? top + HEAD / 2 + 5 : node.y - 3;
  const name = `${outcome ? `${sign(outcome)} ` : ''}${node.name}`;
  const state = s(
    'g',
    {
      class: `state ${node.kind} ${outcome ?? 'waiting'}${node.inner ? ' box' : ''}`,
      'data-state-name': node.name,
      'data-outcome': outcome ?? 'none',
      role: 'button',
      tabindex: 0,
      'aria-pressed': String(options.chosen === node.name),
      'aria-label': `${node.name}, ${node.kind}${outcome ? `, ${word(outcome)}` : ''}`,
      onclick: choose,
      onkeydown: choose,
    },
    outline(node, left, top),
    s('text', { class: 'name', x: node.x, y: head, 'text-anchor': 'middle' }, name),
    !node.inner && s('text', { class: 'note', x: node.x, y: node.y + 14, 'text-anchor': 'middle' }, node.note),
  );
  return [
    state,
    node.inner && inside(node, left, top),
    link &&
      s(
        'a',
        { class: 'nested', href: link, 'aria-label': `${linkName}, started by ${node.name}` },
        s('circle', { cx: left + node.width - 4, cy: top + 4, r: 10 }),
        s('text', { x: left + node.width - 4, y: top + 8, 'text-anchor': 'middle' }, '↗'),
      ),
  ];
}

/** What is inside a Parallel or a Map: its branches side by side. */
function inside(node, left, top) {
  const total = node.inner.reduce((sum, one) => sum + one.width + PAD, -PAD);
  let x = left + (node.width - total) / 2;
  return node.inner.map((one) => {
    const group = s('g', { class: 'branch', transform: `translate(${x} ${top + HEAD})` }, one.parts);
    x += one.width + PAD;
    return group;
  });
}

/** A choice has points to its sides, what ends or waits is round, and what works is a box. */
function outline(node, left, top) {
  const { width, height } = node;
  if (node.kind === 'Choice') {
    const [right, bottom] = [left + width, top + height];
    return s('path', {
      d: `M${left} ${node.y}L${left + 14} ${top}H${right - 14}L${right} ${node.y}L${right - 14} ${bottom}H${left + 14}z`,
    });
  }
  const round = ['Wait', 'Succeed', 'Fail', 'Pass'].includes(node.kind) ? height / 2 : 6;
  return s('rect', { x: left, y: top, width, height, rx: round });
}
