// One execution: its graph coloured by what became of its states, their times, what went wrong and where to read on.

import { get, post } from '../../lib/api.js';
import { failure, h, replace, table } from '../../lib/dom.js';
import { bytes, duration, instant, number } from '../../lib/format.js';
import { drawing, sign, word } from '../../lib/machine.js';
import { definition, startedBy, states } from './plan.js';

const STATUSES = {
  RUNNING: ['running', 'running'],
  SUCCEEDED: ['succeeded', 'succeeded'],
  FAILED: ['failed', 'failed'],
  TIMED_OUT: ['failed', 'timed out'],
  ABORTED: ['stopped', 'stopped'],
  PENDING_REDRIVE: ['running', 'waits for its redrive'],
};

/** The status of an execution, told by colour, sign and word. */
export function badge(status) {
  const [outcome, text] = STATUSES[status] ?? ['waiting', status];
  return h('span', { class: `badge ${outcome}` }, `${sign(outcome)} ${text}`);
}

/** How long an execution took, or has been running at `now`. */
export const took = ({ started, stopped }, now) => (stopped ?? now) - started;

/** The view of an execution: `draw(execution)` shows it as it is now, `trouble(element)` what keeps it from being asked for. */
export function shown(view, workflows) {
  const troubles = h('div', {});
  const content = h('div', {});
  const element = h('article', { class: 'execution' }, troubles, content);
  const documents = new Map();
  let last = null;

  const redraw = () => keeping(content, () => replace(content, parts(last)));

  function draw(execution) {
    last = execution;
    element.dataset.run = execution.name;
    element.dataset.status = execution.status;
    replace(troubles);
    redraw();
  }

  function choose(name) {
    view.set({ state: name === view.get('state') ? '' : name }, { replace: true, update: false });
    redraw();
  }

  async function read(uri) {
    if (documents.has(uri)) documents.delete(uri);
    else documents.set(uri, await get('document', { uri }).catch((error) => error));
    redraw();
  }

  function parts(execution) {
    return [
      head(execution, () => stopping(execution, (error) => replace(troubles, failure(error)))),
      execution.failure && wrong(execution, documents, read),
      h('section', { class: 'panel figure' }, graphOf(execution, view, workflows, choose), legend()),
      chosenState(execution, view),
      times(execution, choose),
      execution.nested.length > 0 && nested(execution, view),
      h(
        'section',
        { class: 'panel texts' },
        json('Input', execution.input),
        execution.output !== null && json('Output', execution.output),
      ),
    ];
  }

  return { element, draw, trouble: (what) => replace(troubles, what) };
}

/** Draws again what a person may be using: the focus stays where it is, and what is open stays open. */
function keeping(root, draw) {
  const at = document.activeElement;
  const mark = root.contains(at)
    ? at.id
      ? `#${CSS.escape(at.id)}`
      : at.dataset.stateName && `[data-state-name="${CSS.escape(at.dataset.stateName)}"]`
    : null;
  const open = [...root.querySelectorAll('details[open]')].map(({ id }) => id);
  const scrolled = [...root.querySelectorAll('.scroll')].map((one) => one.scrollLeft);
  draw();
  for (const id of open) root.querySelector(`#${CSS.escape(id)}`)?.setAttribute('open', '');
  root.querySelectorAll('.scroll').forEach((one, number) => {
    one.scrollLeft = scrolled[number] ?? 0;
  });
  if (mark) root.querySelector(mark)?.focus({ preventScroll: true });
}

function head(execution, stop) {
  return h(
    'header',
    { class: 'panel run-head' },
    h('h1', {}, execution.workflow, ' ', h('span', { class: 'mono' }, execution.name)),
    h(
      'p',
      { class: 'line' },
      badge(execution.status),
      h(
        'span',
        { class: 'muted' },
        `started ${instant(execution.started)}, ${execution.stopped ? 'took' : 'running for'} `,
        duration(took(execution, execution.now)),
      ),
      !execution.stopped && h('button', { type: 'button', id: 'stop', onclick: stop }, '■ Stop …'),
    ),
  );
}

/** Asks whether to stop an execution, and does it. */
function stopping(execution, failed) {
  const dialog = h(
    'dialog',
    { id: 'stopping', 'aria-labelledby': 'stopping-title', onclose: () => dialog.remove() },
    h('h2', { id: 'stopping-title' }, 'Stop this run?'),
    h(
      'p',
      {},
      `${execution.workflow} ${execution.name} ends at once. What it has published stays; start it again for the same days to make them whole.`,
    ),
    h(
      'div',
      { class: 'controls' },
      h('button', { type: 'button', id: 'stop-confirm', class: 'primary', onclick: confirm }, 'Stop it'),
      h('button', { type: 'button', onclick: () => dialog.close() }, 'Let it run'),
    ),
  );
  async function confirm() {
    dialog.close();
    try {
      await post('executions/stop', { run: execution.arn });
    } catch (error) {
      failed(error);
    }
  }
  document.body.append(dialog);
  dialog.showModal();
}

function wrong({ failure: { error, cause }, documents: uris, workflow, name }, documents, read) {
  const named = uris.map((uri) => /\/quality\/run=([^/]+)\//.exec(uri)?.[1]).find(Boolean);
  const audited = named ?? (error === 'QualityError' && workflow === 'create_datalake' ? name : null);
  return h(
    'section',
    { class: 'failure', id: 'failure', role: 'alert' },
    h('strong', { class: 'bad' }, error),
    h('p', { class: 'cause' }, cause || 'No cause is told.'),
    audited &&
      h(
        'p',
        {},
        h(
          'a',
          { href: `/quality?run=${encodeURIComponent(audited)}`, id: 'quality-link' },
          'The checks of this run, under Quality',
        ),
      ),
    uris.map((uri) => h('div', { class: 'document' }, leaf(uri, uri, documents, read))),
  );
}

/** A button that reads the document at a URI, and what was read. */
function leaf(uri, name, documents, read) {
  const open = documents.has(uri);
  return [
    h(
      'button',
      {
        type: 'button',
        id: `read-${uri}`,
        class: 'link mono',
        'aria-expanded': String(open),
        onclick: () => read(uri),
      },
      name,
    ),
    open && told(documents.get(uri), documents, read),
  ];
}

/** What is at a URI: a text, or what lies below it. */
function told(found, documents, read) {
  if (found instanceof Error) return failure(found);
  if (found.text !== null) {
    return [
      found.cut && h('p', { class: 'muted' }, 'Only its end is shown.'),
      h('pre', { class: 'document-text' }, found.text || '(empty)'),
    ];
  }
  return h(
    'ul',
    {},
    found.below.map(({ uri, bytes: size }) =>
      h('li', {}, leaf(uri, `${uri.split('/').at(-1)} ${bytes(size)}`, documents, read)),
    ),
  );
}

/** The visits to a state, and what they come to. */
function summary(execution, name) {
  const visits = execution.visits.filter(({ state }) => state === name);
  const outcome = visits.at(-1)?.outcome;
  if (!outcome) return { visits };
  const total = visits.reduce((sum, visit) => sum + spent(visit, execution), 0);
  const retries = visits.reduce((sum, visit) => sum + Math.max(0, visit.attempts - 1), 0);
  const note = [
    duration(total),
    visits.length > 1 && `${number(visits.length)} times`,
    retries > 0 && `${number(retries)} retried`,
  ];
  return { visits, outcome, note: note.filter(Boolean).join(' · ') };
}

const spent = ({ entered, left }, execution) => (left ?? execution.stopped ?? execution.now) - entered;

function graphOf(execution, view, workflows, choose) {
  const about = (name, state) => {
    const { outcome, note } = summary(execution, name);
    const inner = execution.nested.filter(({ visit }) => execution.visits[visit].state === name).at(-1);
    const other = startedBy(state, workflows)?.name;
    const link = inner ? view.href({ run: inner.arn }) : other && view.href({ workflow: other });
    return { outcome, note, link, linkName: other ?? inner?.workflow };
  };
  return drawing(execution.definition, {
    title: `${execution.workflow} ${execution.name}, its states`,
    about,
    chosen: view.get('state'),
    choose,
  });
}

const legend = () =>
  h(
    'p',
    { class: 'legend muted' },
    ['succeeded', 'running', 'failed', 'caught', 'stopped'].map((outcome) =>
      h('span', { class: `badge ${outcome}` }, `${sign(outcome)} ${word(outcome)}`),
    ),
    h('span', { class: 'badge waiting' }, 'not reached'),
  );

function chosenState(execution, view) {
  const name = view.get('state');
  const state = name && states(execution.definition).get(name);
  if (!state) return null;
  const { visits } = summary(execution, name);
  return h(
    'section',
    { class: 'panel', id: 'state', 'data-state': name },
    h('h2', {}, name),
    state.Comment && h('p', {}, state.Comment),
    visits.length
      ? visits.map((visit) =>
          h(
            'div',
            {},
            h(
              'p',
              {},
              `${sign(visit.outcome)} ${word(visit.outcome)}, entered ${instant(visit.entered)}, `,
              `${visit.left ? 'took' : 'so far'} ${duration(spent(visit, execution))}${attempts(visit)}`,
            ),
            visit.failures.map(({ error, cause }) =>
              h('p', { class: 'attempt' }, h('strong', { class: 'bad' }, error), ` ${cause}`),
            ),
          ),
        )
      : h('p', { class: 'muted' }, 'It was not reached.'),
    definition(state),
  );
}

const attempts = ({ attempts: count }) => (count > 1 ? `, ${number(count)} attempts` : '');

/** The visits in their order, each with a bar from when it was entered to when it was left. */
function times(execution, choose) {
  const whole = Math.max(1, took(execution, execution.now));
  const bar = (visit) => {
    const [from, length] = [(visit.entered - execution.started) / whole, spent(visit, execution) / whole];
    const style = `left:${(from * 100).toFixed(2)}%;width:${(length * 100).toFixed(2)}%`;
    return h('div', { class: 'track' }, h('div', { class: `bar ${visit.outcome}`, style }));
  };
  const state = (visit) => {
    const id = `visit-${execution.visits.indexOf(visit)}`;
    return h('button', { type: 'button', class: 'link', id, onclick: () => choose(visit.state) }, visit.state);
  };
  const columns = [
    { name: 'State', cell: state },
    {
      name: 'Outcome',
      cell: (visit) => h('span', { class: `badge ${visit.outcome}` }, `${sign(visit.outcome)} ${word(visit.outcome)}`),
    },
    { name: 'Took', number: true, cell: (visit) => duration(spent(visit, execution)) },
    { name: 'When', cell: bar },
    { name: 'Entered', cell: (visit) => instant(visit.entered) },
    { name: 'Attempts', number: true, cell: (visit) => (visit.attempts ? number(visit.attempts) : '') },
    { name: 'Error', cell: (visit) => visit.failures.map(({ error }) => error).join(', ') },
  ];
  return h(
    'section',
    { class: 'panel' },
    h('h2', {}, 'States in their order'),
    execution.visits.length
      ? table(columns, execution.visits, { id: 'visits' })
      : h('p', { class: 'muted' }, 'None has been entered yet.'),
  );
}

function nested(execution, view) {
  const columns = [
    { name: 'From', cell: ({ visit }) => execution.visits[visit].state },
    {
      name: 'Execution',
      cell: ({ arn, workflow, name }) => h('a', { href: view.href({ run: arn }) }, `${workflow} ${name}`),
    },
    { name: 'Status', cell: ({ status }) => badge(status) },
    { name: 'Took', number: true, cell: (one) => duration(took(one, execution.now)) },
  ];
  return h(
    'section',
    { class: 'panel' },
    h('h2', {}, 'Executions that it started'),
    table(columns, execution.nested, { id: 'nested' }),
  );
}

const json = (name, value) =>
  h(
    'details',
    { id: `json-${name.toLowerCase()}` },
    h('summary', {}, name),
    h('pre', {}, JSON.stringify(value, null, 2)),
  );
