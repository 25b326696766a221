// A layered layout of a graph, from top to bottom, after Sugiyama: edges that lead back are turned around, each node gets
// the layer behind all that lead to it, long edges and labels get places of their own in the layers between, neighbours
// are brought below one another, and each layer is then spread so that it is closest to where its neighbours pull it.

const RISE = 26; // Between layers.
const LANE = 8; // The width of an edge that passes a layer.

/**
 * Places nodes `{ id, width, height }` and edges `{ from, to, labelWidth, labelHeight }`, with `gap` between neighbours in a
 * layer. Gives `{ width, height }`; a node
 * gets `x` and `y`, its middle; an edge `points` from its source to its target, `back` when it leads upward, and `label`,
 * the middle of its label.
 */
export function layout(nodes, edges, gap) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  turnBack(nodes, edges);
  const rank = ranks(nodes, edges);
  const layers = Array.from({ length: Math.max(...rank.values()) + 1 }, () => []);
  for (const node of nodes) layers[rank.get(node.id)].push(place(node.width, node.height, node));
  const items = new Map(layers.flat().map((item) => [item.node.id, item]));
  const links = edges.filter((edge) => edge.from !== edge.to).flatMap((edge) => chain(edge, rank, items, layers));
  order(layers, links);
  spread(layers, gap);
  const height = stack(layers);
  const left = Math.min(...layers.flat().map((item) => item.x - item.width / 2));
  for (const item of layers.flat()) item.x -= left;
  for (const item of items.values()) Object.assign(item.node, { x: item.x, y: item.y });
  for (const edge of edges) route(edge, byId);
  const right = Math.max(
    ...layers.flat().map((item) => item.x + item.width / 2),
    ...edges.flatMap((edge) => edge.points.map((point) => point.x)),
  );
  return { width: right, height };
}

const place = (width, height, node = null) => ({ width, height, node, above: [], below: [], x: 0, y: 0 });

/** Marks the edges that lead back to where the way to them came from. */
function turnBack(nodes, edges) {
  const seen = new Map();
  const visit = (id) => {
    seen.set(id, 'open');
    for (const edge of edges.filter((one) => one.from === id)) {
      edge.back = seen.get(edge.to) === 'open';
      if (!seen.has(edge.to)) visit(edge.to);
    }
    seen.set(id, 'done');
  };
  for (const node of nodes) if (!seen.has(node.id)) visit(node.id);
}

/** The ends of an edge by their layers: upper, lower. */
const ends = (edge) => (edge.back ? [edge.to, edge.from] : [edge.from, edge.to]);

/** Labels need a layer of their own, and ways back one to go beside. */
const span = (edge) => (edge.labelWidth || edge.back ? 2 : 1);

/** The layer of each node: one behind the last that leads to it. */
function ranks(nodes, edges) {
  const rank = new Map(nodes.map((node) => [node.id, 0]));
  const real = edges.filter((edge) => edge.from !== edge.to);
  for (let again = true; again; ) {
    again = false;
    for (const edge of real) {
      const [upper, lower] = ends(edge);
      if (rank.get(lower) < rank.get(upper) + span(edge)) {
        rank.set(lower, rank.get(upper) + span(edge));
        again = true;
      }
    }
  }
  return rank;
}

/** Puts an edge into the layers that it passes, with its label in the one next to its source. */
function chain(edge, rank, items, layers) {
  const [upper, lower] = ends(edge);
  const [from, to] = [rank.get(upper), rank.get(lower)];
  const labelled = edge.labelWidth ? (edge.back ? to - 1 : from + 1) : -1;
  edge.lane = [];
  const links = [];
  let last = items.get(upper);
  for (let at = from + 1; at <= to; at += 1) {
    const label = at === labelled;
    const next = at === to ? items.get(lower) : place(label ? edge.labelWidth : LANE, label ? edge.labelHeight : 0);
    if (at < to) {
      layers[at].push(next);
      edge.lane.push(next);
      if (label) edge.labelled = next;
    }
    // What passes layers pulls hard, so that long edges are straight; ways back and catches give way to the others.
    const weight = !last.node && !next.node ? 6 : edge.back || edge.light ? 0.5 : 2;
    last.below.push([next, weight]);
    next.above.push([last, weight]);
    links.push([last, next]);
    last = next;
  }
  return links;
}

/** Brings each layer into the order with the fewest crossings that a few sweeps find. */
function order(layers, links) {
  const number = () => {
    for (const layer of layers) for (const [at, item] of layer.entries()) item.at = at;
  };
  const crossings = () => {
    let count = 0;
    for (let one = 0; one < links.length; one += 1) {
      for (let other = one + 1; other < links.length; other += 1) {
        const [[a, b], [c, d]] = [links[one], links[other]];
        if (layerOf.get(a) === layerOf.get(c) && (a.at - c.at) * (b.at - d.at) < 0) count += 1;
      }
    }
    return count;
  };
  const layerOf = new Map(layers.flatMap((layer, at) => layer.map((item) => [item, at])));
  number();
  let best = { count: crossings(), layers: layers.map((layer) => [...layer]) };
  for (let sweep = 0; sweep < 8 && best.count > 0; sweep += 1) {
    const [side, sequence] = sweep % 2 ? ['below', [...layers].reverse()] : ['above', layers];
    for (const layer of sequence) {
      const middle = new Map(layer.map((item) => [item, mean(item[side], (near) => near.at) ?? item.at]));
      layer.sort((a, b) => middle.get(a) - middle.get(b));
      layer.forEach((item, at) => {
        item.at = at;
      });
    }
    const count = crossings();
    if (count < best.count) best = { count, layers: layers.map((layer) => [...layer]) };
  }
  best.layers.forEach((layer, at) => {
    layers[at] = layer;
  });
  number();
}

function mean(links, value) {
  if (!links.length) return null;
  const total = links.reduce((sum, [, weight]) => sum + weight, 0);
  return links.reduce((sum, [item, weight]) => sum + weight * value(item), 0) / total;
}

/** Gives each item its x, in some sweeps down and up. */
function spread(layers, gap) {
  for (const layer of layers)
    settle(
      layer,
      layer.map((item) => ({ item, wish: 0, weight: 1 })),
      gap,
    );
  for (let sweep = 0; sweep < 24; sweep += 1) {
    const sides = sweep < 22 ? [sweep % 2 ? 'below' : 'above'] : ['above', 'below'];
    for (const layer of sweep % 2 ? [...layers].reverse() : layers) {
      settle(
        layer,
        layer.map((item) => {
          const pulls = sides.flatMap((side) => item[side]);
          const weight = pulls.reduce((sum, [, one]) => sum + one, 0);
          return { item, wish: mean(pulls, (near) => near.x) ?? item.x, weight: weight || 0.1 };
        }),
        gap,
      );
    }
  }
}

/**
 * Puts the items of a layer where they wish to be, in their order and without touching: the least squares under these
 * conditions, by pooling neighbours that would overlap.
 */
function settle(layer, wishes, gap) {
  const blocks = [];
  let offset = 0;
  wishes.forEach(({ item, wish, weight }, at) => {
    if (at) offset += (layer[at - 1].width + item.width) / 2 + gap;
    let block = { sum: (wish - offset) * weight, weight, items: [[item, offset]] };
    while (blocks.length && blocks.at(-1).sum / blocks.at(-1).weight > block.sum / block.weight) {
      const before = blocks.pop();
      block = {
        sum: before.sum + block.sum,
        weight: before.weight + block.weight,
        items: [...before.items, ...block.items],
      };
    }
    blocks.push(block);
  });
  for (const block of blocks) for (const [item, shift] of block.items) item.x = block.sum / block.weight + shift;
}

/** Gives each item its y, and tells how high it all is. */
function stack(layers) {
  let y = 0;
  layers.forEach((layer, at) => {
    const height = Math.max(...layer.map((item) => item.height), 0);
    if (at) y += RISE;
    for (const item of layer) Object.assign(item, { y: y + height / 2, room: height });
    y += height;
  });
  return y;
}

/** The points of an edge: the foot of its source, the lane, the head of its target; at their sides when it leads back. */
function route(edge, byId) {
  const [source, target] = [byId.get(edge.from), byId.get(edge.to)];
  if (source === target) {
    const right = source.x + source.width / 2;
    edge.points = [
      { x: right, y: source.y - 8 },
      { x: right + 24, y: source.y },
      { x: right, y: source.y + 8 },
    ];
    return;
  }
  // Straight through each layer, so that no high box in it is touched.
  const lane = (edge.lane ?? []).flatMap(({ x, y, room }) => [
    { x, y: y - room / 2 },
    { x, y: y + room / 2 },
  ]);
  if (edge.labelled) edge.label = { x: edge.labelled.x, y: edge.labelled.y };
  if (edge.back) {
    lane.reverse();
    const side =
      Math.sign(
        mean(
          lane.map((point) => [point, 1]),
          (point) => point.x,
        ) -
          (source.x + target.x) / 2,
      ) || 1;
    const at = (node) => ({ x: node.x + (side * node.width) / 2, y: node.y });
    edge.points = [at(source), ...lane, at(target)];
  } else {
    edge.points = [
      { x: source.x, y: source.y + source.height / 2 },
      ...lane,
      { x: target.x, y: target.y - target.height / 2 },
    ];
  }
}

/** A smooth line through the points of an edge. */
export function path(edge) {
  const [first, ...rest] = edge.points;
  let [text, at] = [`M${round(first.x)} ${round(first.y)}`, first];
  rest.forEach((point, index) => {
    // Ways back leave and reach a node at its side, all others from above.
    const [leaves, reaches] = [edge.back && index === 0, edge.back && index === rest.length - 1];
    const half = (point.y - at.y) / 2;
    const one = leaves ? { x: point.x, y: at.y } : { x: at.x, y: at.y + half };
    const two = reaches ? { x: at.x, y: point.y } : { x: point.x, y: point.y - half };
    text += ` C${round(one.x)} ${round(one.y)} ${round(two.x)} ${round(two.y)} ${round(point.x)} ${round(point.y)}`;
    at = point;
  });
  return text;
}

const round = (value) => Math.round(value * 10) / 10;
