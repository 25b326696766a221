// The workflows, what ran of them, and how one execution goes, live.

import { get } from '../lib/api.js';
import { empty, failure, h, replace } from '../lib/dom.js';
import { duration, instant, number } from '../lib/format.js';
import { badge, shown, took } from './runs/execution.js';
import { poll } from './runs/poll.js';
import { starter } from './runs/start.js';
import { plan } from './runs/plan.js';

export const title = 'Runs';

export const keys = [['n', 'starts a run', (mounted) => mounted?.openStart()]];

const STATUSES = ['RUNNING', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED'];

export async function mount(root, view) {
  const page = new Runs(root, view);
  await page.begin();
  return page;
}

class Runs {
  #view;
  #workflows = [];
  #filters = h('div', { class: 'controls' });
  #list = h('section', { id: 'executions', class: 'panel', 'aria-label': 'Executions' });
  #shown = h('div', { id: 'shown' });
  #start;
  #follower = null;
  #listing = null;
  #run = null;
  #root;

  constructor(root, view) {
    this.#root = root;
    this.#view = view;
  }

  async begin() {
    this.#workflows = await get('workflows');
    this.#start = starter(this.#workflows, (execution) => this.#started(execution));
    replace(
      this.#root,
      h('div', { class: 'panel head' }, this.#filters, this.#start.button),
      this.#start.panel,
      h('div', { class: 'columns' }, this.#list, this.#shown),
    );
    await this.update();
  }

  /** Shows what the address says. */
  async update() {
    this.#drawFilters();
    await Promise.all([this.#refresh(), this.#show()]);
  }

  dispose() {
    this.#follower?.stop();
    this.#listing?.stop();
  }

  openStart() {
    this.#start.open(this.#view.get('workflow'));
  }

  /** What is chosen of the list, for addresses. */
  #choices() {
    const [workflow, status, page, until] = ['workflow', 'status', 'page', 'until'].map((name) => this.#view.get(name));
    return { workflow, status, page, until };
  }

  #drawFilters() {
    const choose = (name) => (event) =>
      this.#view.set({
        [name]: event.target.value,
        page: '',
        until: '',
        ...(name === 'workflow' ? { run: '', state: '' } : {}),
      });
    const select = (id, label, name, values, all) =>
      h(
        'label',
        {},
        label,
        h(
          'select',
          { id, onchange: choose(name), value: null },
          h('option', { value: '' }, all),
          values.map((value) => h('option', { value, selected: this.#view.get(name) === value }, value)),
        ),
      );
    replace(
      this.#filters,
      select(
        'workflow',
        'Workflow',
        'workflow',
        this.#workflows.map(({ name }) => name),
        'all',
      ),
      select('status', 'Status', 'status', STATUSES, 'all'),
    );
  }

  /** Lists the executions, and again from time to time while one of them runs. */
  async #refresh() {
    this.#listing?.stop();
    const list = await get('executions', this.#choices());
    this.#drawList(list);
    if (!list.executions.some(({ status }) => status === 'RUNNING')) return;
    this.#listing = poll(
      async () => {
        const now = await get('executions', this.#choices());
        this.#drawList(now);
        return { over: !now.executions.some(({ status }) => status === 'RUNNING'), changed: false };
      },
      { shortest: 2000, longest: 5000 },
    );
  }

  #drawList({ executions, more, now }) {
    const page = Number(this.#view.get('page', '0')) || 0;
    const filtered = this.#view.get('workflow') || this.#view.get('status') || page;
    const nothing = filtered
      ? empty('No execution is like that.', 'Choose another workflow or status.')
      : empty(
          'Nothing has run here yet.',
          'Bring raw files in with: pregao upload DIR. Then start create_datalake for their days, above or with: pregao run --from DATE.',
        );
    // Pages are counted from the newest execution that the first one had: what has been started since shifts none of them.
    const until = this.#view.get('until') || executions[0]?.started;
    const turnTo = (to) => this.#view.set({ page: to || '', until: to ? until : '' });
    const turn = (to, id, text, able) =>
      h('button', { type: 'button', id, disabled: !able, onclick: () => turnTo(to) }, text);
    replace(
      this.#list,
      executions.length
        ? h(
            'ol',
            { class: 'executions' },
            executions.map((execution) => this.#item(execution, now)),
          )
        : nothing,
      (page > 0 || more) &&
        h(
          'div',
          { class: 'pages' },
          turn(page - 1, 'newer', 'Newer', page > 0),
          h('span', { class: 'muted' }, `page ${number(page + 1)}`),
          turn(page + 1, 'older', 'Older', more),
        ),
    );
  }

  #item(execution, now) {
    const current = execution.arn === this.#run || execution.name === this.#run;
    return h(
      'li',
      {},
      h(
        'a',
        {
          href: this.#view.href({ ...this.#choices(), run: execution.arn }),
          'data-run': execution.name,
          'data-status': execution.status,
          'aria-current': current ? 'true' : null,
        },
        h('span', { class: 'line' }, h('strong', {}, execution.workflow), badge(execution.status)),
        h('span', { class: 'mono name' }, execution.name),
        h(
          'span',
          { class: 'line muted' },
          h('span', {}, instant(execution.started)),
          h('span', {}, duration(took(execution, now))),
        ),
      ),
    );
  }

  /** Shows the chosen execution and follows it, or else how the workflows are made. */
  async #show() {
    const run = this.#view.get('run');
    this.#follower?.stop();
    if (!run) {
      this.#run = null;
      this.#drawPlans();
      return;
    }
    if (run !== this.#run) replace(this.#shown, h('p', { class: 'muted' }, 'Loading …'));
    this.#run = run;
    const drawn = shown(this.#view, this.#workflows);
    const execution = await get('execution', { run });
    if (this.#view.get('run') !== run) return;
    replace(this.#shown, drawn.element);
    drawn.draw(execution);
    if (!execution.stopped) this.#follow(run, execution, drawn);
  }

  #follow(run, first, drawn) {
    let before = first;
    const progress = ({ status, visits }) => JSON.stringify([status, visits]);
    this.#follower = poll(
      async () => {
        const execution = await get('execution', { run });
        if (this.#view.get('run') !== run) return { over: true };
        const changed = progress(execution) !== progress(before);
        before = execution;
        drawn.draw(execution);
        if (execution.stopped) this.#refresh();
        return { over: Boolean(execution.stopped), changed };
      },
      {
        shortest: 300,
        longest: 1000,
        // The last that is known stays below what went wrong.
        failed: (error) => drawn.trouble(failure(error)),
      },
    );
  }

  #drawPlans() {
    const chosen = this.#workflows.filter(
      ({ name }) => !this.#view.get('workflow') || name === this.#view.get('workflow'),
    );
    replace(
      this.#shown,
      h(
        'div',
        { class: 'plans' },
        chosen.map((workflow) => plan(workflow, this.#workflows, this.#view)),
      ),
    );
  }

  #started(execution) {
    this.#view.set({ run: execution.arn, state: '', status: '', page: '', until: '', workflow: '' });
  }
}
