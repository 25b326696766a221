// State machines as graphs: what the Amazon States Language says of the states and the ways between them. Nothing here
// knows the states of any workflow.

/**
 * The graph of a machine: `{ nodes, edges }`. A node is `{ id, kind, name?, state?, branches? }`; of kind `start`, `end`
 * or the state's type. `branches` are the graphs inside it. An edge is `{ from, to, kind, label }`; of kind `next`,
 * `choice` or `catch`.
 */
export function graph(machine) {
  const nodes = [{ id: ' start', kind: 'start' }];
  const edges = [{ from: ' start', to: machine.StartAt, kind: 'next', label: '' }];
  for (const [name, state] of Object.entries(machine.States ?? {})) {
    nodes.push({ id: name, kind: state.Type, name, state, branches: branches(state).map(graph) });
    edges.push(...ways(name, state));
  }
  nodes.push({ id: ' end', kind: 'end' });
  return { nodes, edges: edges.filter((edge) => nodes.some((node) => node.id === edge.to)) };
}

/** The machines inside a state. */
function branches(state) {
  const inner = state.ItemProcessor ?? state.Iterator;
  return state.Branches ?? (inner ? [inner] : []);
}

/** The ways out of a state. */
function ways(from, state) {
  const out = [];
  const go = (to, kind, label = '') => out.push({ from, to, kind, label });
  for (const choice of state.Choices ?? []) go(choice.Next, 'choice', condition(choice));
  if (state.Default) go(state.Default, 'choice', 'otherwise');
  if (state.Next) go(state.Next, 'next');
  if (state.End || state.Type === 'Succeed' || state.Type === 'Fail') go(' end', 'next');
  for (const caught of state.Catch ?? []) go(caught.Next, 'catch', (caught.ErrorEquals ?? []).join(', '));
  return out;
}

const COMPARISONS = {
  Equals: '=',
  LessThanEquals: '≤',
  GreaterThanEquals: '≥',
  LessThan: '<',
  GreaterThan: '>',
  Matches: 'like',
};

/** A condition of a Choice, in short: `step.state = FAILED or CANCELLED`. */
export function condition(rule) {
  if (typeof rule.Condition === 'string') return rule.Condition.replace(/^\{%\s*|\s*%\}$/g, '');
  if (rule.Not) return `not (${condition(rule.Not)})`;
  if (rule.And) return rule.And.map(condition).join(' and ');
  if (rule.Or) return either(rule.Or);
  const variable = short(rule.Variable);
  for (const [key, value] of Object.entries(rule)) {
    if (key.startsWith('Is')) return `${variable} is ${value ? '' : 'not '}${key.slice(2).toLowerCase()}`;
    const word = Object.keys(COMPARISONS).find((name) => key.replace(/Path$/, '').endsWith(name));
    if (word) return `${variable} ${COMPARISONS[word]} ${key.endsWith('Path') ? short(value) : value}`;
  }
  return variable;
}

/** Several conditions on one variable name it once. */
function either(rules) {
  const texts = rules.map(condition);
  const begin = rules[0]?.Variable && `${short(rules[0].Variable)} = `;
  if (begin && texts.every((text) => text.startsWith(begin)))
    return begin + texts.map((text) => text.slice(begin.length)).join(' or ');
  return texts.join(' or ');
}

const short = (path) => String(path ?? '').replace(/^\$\.?/, '');

/** The state machine that a state starts, by its ARN or by what a template has in place of it. */
export function started(state) {
  if (!/states:startExecution/.test(state?.Resource ?? '')) return null;
  return (state.Parameters ?? state.Arguments)?.StateMachineArn ?? null;
}
