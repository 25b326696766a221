// Questions to the server.

/** The server's refusal: what is wrong, and what to do. */
export class Refused extends Error {
  constructor(status, error, message, hint) {
    super(message);
    this.status = status;
    this.error = error;
    this.hint = hint;
  }
}

/** A question whose answer nobody waits for any more. */
export class Cancelled extends Error {}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(`/api/${path}`, options);
  } catch (error) {
    if (error.name === 'AbortError') throw new Cancelled();
    throw new Refused(
      0,
      'Unreachable',
      'The explorer does not answer.',
      'Start it again (pregao explore), then reload this page.',
    );
  }
  let body;
  try {
    body = await response.json();
  } catch (error) {
    if (error.name === 'AbortError') throw new Cancelled();
    throw new Refused(
      response.status,
      'Unreadable',
      `The explorer answered ${response.status} with something that is no JSON.`,
      'Reload this page.',
    );
  }
  if (!response.ok) throw new Refused(response.status, body.error, body.message, body.hint);
  return body;
}

/** The query string of what is set in `params`; lists are given once for each item. */
export function query(params) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params ?? {})) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== undefined && item !== null && item !== '') search.append(name, item);
    }
  }
  const text = search.toString();
  return text ? `?${text}` : '';
}

export const get = (path, params, signal) => ask(path + query(params), { signal });

export const post = (path, body, signal) =>
  ask(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), signal });

/** Gives signals of which a new one cancels the one before: the answer to an old question must not overwrite a newer. */
export function latest() {
  let controller = null;
  const next = () => {
    controller?.abort();
    controller = new AbortController();
    return controller.signal;
  };
  next.cancel = () => controller?.abort();
  return next;
}
