// Starting a run by hand: which workflow, on what; then what that means, and only then the start.

import { post, Refused } from '../../lib/api.js';
import { failure, h, replace } from '../../lib/dom.js';

/** The button and the panel that start a run; `begun({ arn, name })` is called when one has been started. */
export function starter(workflows, begun) {
  const field = (id, label, attributes) => h('label', { class: 'field' }, label, h('input', { id, ...attributes }));
  const workflow = h(
    'select',
    { id: 'start-workflow' },
    workflows.map(({ name }) => h('option', { value: name }, name)),
  );
  const mode = h(
    'select',
    { id: 'start-mode' },
    h('option', { value: 'days' }, 'days'),
    h('option', { value: 'json' }, 'JSON'),
  );
  const from = field('start-from', 'From', { type: 'date' });
  const to = field('start-to', 'To', { type: 'date' });
  const days = h('span', { class: 'controls' }, from, to);
  const text = h('textarea', { id: 'start-input', rows: 4, spellcheck: 'false', value: '{}' });
  const json = h('label', { class: 'field json', hidden: true }, 'Input', text);
  const hint = h('p', { class: 'hint' }, 'Without dates: the day before, in Sao Paulo. A single day: From alone.');
  const answer = h('div', { id: 'start-answer', 'aria-live': 'polite' });
  const form = h(
    'form',
    {
      class: 'controls',
      onsubmit: (event) => {
        event.preventDefault();
        check();
      },
    },
    h('label', {}, 'Workflow', workflow),
    h('label', {}, 'Input by', mode),
    days,
    json,
    h('button', { type: 'submit', id: 'start-check' }, 'Start …'),
  );
  const panel = h(
    'section',
    { id: 'start', class: 'panel', hidden: true, 'aria-label': 'Start a run' },
    h('h2', {}, 'Start a run'),
    form,
    hint,
    answer,
  );
  const turn = () => (panel.hidden ? open() : close());
  const button = h(
    'button',
    {
      type: 'button',
      id: 'start-open',
      class: 'primary',
      'aria-expanded': 'false',
      'aria-controls': 'start',
      onclick: turn,
    },
    'Start a run',
  );

  // What was said about another input would be wrong.
  form.addEventListener('input', () => replace(answer));
  mode.addEventListener('change', () => {
    const raw = mode.value === 'json';
    if (raw) text.value = JSON.stringify(ofDays(), null, 2);
    json.hidden = !raw;
    days.hidden = raw;
    hint.hidden = raw;
  });

  function open(name) {
    if (name) workflow.value = name;
    else if (workflows.some((one) => one.name === 'create_datalake')) workflow.value = 'create_datalake';
    panel.hidden = false;
    button.setAttribute('aria-expanded', 'true');
    workflow.focus();
  }

  function close() {
    panel.hidden = true;
    button.setAttribute('aria-expanded', 'false');
    replace(answer);
  }

  function ofDays() {
    const [first, last] = [from.querySelector('input').value, to.querySelector('input').value];
    if (first && (!last || first === last)) return { date: first };
    return { ...(first && { from: first }), ...(last && { to: last }) };
  }

  function input() {
    if (mode.value === 'days') return ofDays();
    try {
      return JSON.parse(text.value);
    } catch (error) {
      throw new Refused(
        0,
        'InvalidInput',
        `The input is no JSON: ${error.message}`,
        'Write an object, such as {"date": "2020-04-01"}.',
      );
    }
  }

  /** Does something that the server may refuse, and says so. */
  async function trying(work) {
    for (const one of panel.querySelectorAll('button')) one.disabled = true;
    try {
      await work();
    } catch (error) {
      replace(answer, failure(error));
    } finally {
      for (const one of panel.querySelectorAll('button')) one.disabled = false;
    }
  }

  const check = () =>
    trying(async () => {
      const checked = await post('executions/check', { workflow: workflow.value, input: input() });
      const confirm = h(
        'button',
        { type: 'button', id: 'start-confirm', class: 'primary', onclick: () => start(checked) },
        `Start ${checked.workflow}`,
      );
      replace(
        answer,
        h(
          'div',
          { class: 'confirm' },
          h('p', {}, `${checked.workflow} of `, h('strong', {}, checked.means)),
          h('pre', {}, JSON.stringify(checked.input)),
          h(
            'div',
            { class: 'controls' },
            confirm,
            h('button', { type: 'button', onclick: () => replace(answer) }, 'Not now'),
          ),
        ),
      );
      // It can be pressed once the others can.
      setTimeout(() => confirm.focus());
    });

  const start = (checked) =>
    trying(async () => {
      const begins = await post('executions', { workflow: checked.workflow, input: checked.input });
      close();
      begun(begins);
    });

  return { button, panel, open };
}
