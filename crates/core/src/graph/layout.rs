//! Where everything stands in a drawing of a graph: columns from left to right in the order of making, one band for
//! each scope, long arrows led through the gaps between what they pass.
//!
//! The method of Sugiyama, with the columns cut into bands: what is in one scope stays together.

use crate::{schedule, value::Address};
use std::collections::{BTreeMap, BTreeSet};

/// The height of a resource, and of the gap below it.
pub(super) const HEIGHT: f64 = 38.0;
const GAP: f64 = 10.0;
/// The height that an arrow takes where it passes.
const PASS: f64 = 7.0;
/// The space between columns, in which arrows bend.
const BEND: f64 = 64.0;
/// Around a band, and above it for its name.
const PADDING: f64 = 14.0;
const TITLE: f64 = 26.0;
/// More resources than this, and arrows that follow from others are drawn as well: leaving them out takes too long.
const REDUCED: usize = 2_000;
const SWEEPS: usize = 8;

/// A drawing, in pixels.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) boxes: BTreeMap<Address, Rect>,
    pub(super) bands: Vec<(String, Rect)>,
    /// From what is needed to what needs it, through these points.
    pub(super) arrows: Vec<Arrow>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

#[derive(Debug)]
pub(super) struct Arrow {
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) points: Vec<(f64, f64)>,
}

/// What stands in a column: a resource, or a place where arrows pass.
#[derive(Clone, Debug)]
struct Item {
    column: usize,
    band: usize,
    height: f64,
    /// Numbers of its neighbours to the left and to the right.
    left: Vec<usize>,
    right: Vec<usize>,
    /// Its middle.
    y: f64,
}

/// Lays out resources of these widths, `edges` leading from each to what it waits for. There must be no cycle.
pub(super) fn layout(
    widths: &BTreeMap<Address, f64>,
    edges: &BTreeMap<Address, BTreeSet<Address>>,
) -> Layout {
    let Ok(order) = schedule::order(edges) else { return Layout::default() };
    let needs = if edges.len() > REDUCED { edges.clone() } else { reduced(edges, &order) };
    let columns = columns(&needs, &order);
    let scopes: BTreeSet<&str> = edges.keys().map(scope).collect();
    let bands = bands(&scopes, edges, &columns);
    let number: BTreeMap<&Address, usize> = edges.keys().enumerate().map(|(i, a)| (a, i)).collect();
    let mut items: Vec<Item> = edges
        .keys()
        .map(|a| Item {
            column: columns[a],
            band: bands[scope(a)],
            height: HEIGHT,
            left: vec![],
            right: vec![],
            y: 0.0,
        })
        .collect();
    // An arrow that passes columns is led through places there, which all arrows from its start into a band share.
    let mut passes: BTreeMap<(usize, usize, usize), usize> = BTreeMap::new();
    let mut ways: Vec<(usize, usize, Vec<usize>)> = vec![];
    for (to, all) in &needs {
        for from in all {
            let (from, to) = (number[from], number[to]);
            let (mut last, band) = (from, items[to].band);
            let mut way = vec![];
            for column in items[from].column + 1..items[to].column {
                let next = *passes.entry((from, column, band)).or_insert_with(|| {
                    items.push(Item { column, band, height: PASS, left: vec![], right: vec![], y: 0.0 });
                    items.len() - 1
                });
                join(&mut items, last, next);
                way.push(next);
                last = next;
            }
            join(&mut items, last, to);
            ways.push((from, to, way));
        }
    }
    let tops = place(&mut items, bands.len());
    let mut width_of: BTreeMap<usize, f64> = BTreeMap::new();
    for (address, width) in widths {
        if let Some(column) = columns.get(address) {
            let widest = width_of.entry(*column).or_default();
            *widest = widest.max(*width);
        }
    }
    draw(edges, &items, &ways, &width_of, &bands, &tops)
}

fn draw(
    edges: &BTreeMap<Address, BTreeSet<Address>>,
    items: &[Item],
    ways: &[(usize, usize, Vec<usize>)],
    width_of: &BTreeMap<usize, f64>,
    bands: &BTreeMap<String, usize>,
    tops: &[(f64, f64)],
) -> Layout {
    let mut left: BTreeMap<usize, f64> = BTreeMap::new();
    let mut x = PADDING * 2.0;
    for (column, width) in width_of {
        left.insert(*column, x);
        x += width + BEND;
    }
    let start = |i: &Item| left.get(&i.column).copied().unwrap_or_default();
    let end = |i: &Item| start(i) + width_of.get(&i.column).copied().unwrap_or_default();
    let mut out = Layout { width: x - BEND + PADDING * 2.0, ..Layout::default() };
    out.height = tops.last().map_or(0.0, |(_, bottom)| *bottom) + PADDING;
    let mut around: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (address, item) in edges.keys().zip(items) {
        let rect =
            Rect { x: start(item), y: item.y - HEIGHT / 2.0, width: end(item) - start(item), height: HEIGHT };
        let sides = around.entry(item.band).or_insert((f64::MAX, 0.0));
        *sides = (sides.0.min(rect.x), sides.1.max(rect.x + rect.width));
        out.boxes.insert(address.clone(), rect);
    }
    for (scope, band) in bands.iter().filter(|(scope, _)| !scope.is_empty()) {
        let ((top, bottom), (left, right)) = (tops[*band], around[band]);
        let (x, width) = (left - PADDING, right - left + PADDING * 2.0);
        out.bands.push((scope.clone(), Rect { x, y: top, width, height: bottom - top }));
    }
    let names: Vec<&Address> = edges.keys().collect();
    for (from, to, way) in ways {
        let mut points = vec![(end(&items[*from]), items[*from].y)];
        for item in way.iter().map(|i| &items[*i]) {
            points.extend([(start(item), item.y), (end(item), item.y)]);
        }
        points.push((start(&items[*to]), items[*to].y));
        out.arrows.push(Arrow { from: names[*from].clone(), to: names[*to].clone(), points });
    }
    out
}

/// The scope that a resource stands in.
fn scope(address: &Address) -> &str {
    address.0.rsplit_once('/').map_or("", |(scope, _)| scope)
}

fn join(items: &mut [Item], left: usize, right: usize) {
    if !items[left].right.contains(&right) {
        items[left].right.push(right);
        items[right].left.push(left);
    }
}

/// Without what follows from the rest: if `a` needs `b` and `b` needs `c`, that `a` needs `c` is no news.
fn reduced(
    edges: &BTreeMap<Address, BTreeSet<Address>>,
    order: &[Address],
) -> BTreeMap<Address, BTreeSet<Address>> {
    let mut below: BTreeMap<&Address, BTreeSet<&Address>> = BTreeMap::new();
    let mut out = BTreeMap::new();
    for address in order {
        let needs: BTreeSet<&Address> = edges[address].iter().filter(|n| edges.contains_key(n)).collect();
        let through: BTreeSet<&Address> = needs.iter().flat_map(|n| &below[n]).copied().collect();
        out.insert(address.clone(), needs.difference(&through).map(|n| (*n).clone()).collect());
        below.insert(address, &needs | &through);
    }
    out
}

/// The column of each: right of all that it needs, and not further left of what needs it than it must be.
fn columns(needs: &BTreeMap<Address, BTreeSet<Address>>, order: &[Address]) -> BTreeMap<Address, usize> {
    let mut column: BTreeMap<Address, usize> = BTreeMap::new();
    for address in order {
        let left = needs[address].iter().filter_map(|n| column.get(n)).max();
        column.insert(address.clone(), left.map_or(0, |left| left + 1));
    }
    let mut users: BTreeMap<&Address, Vec<&Address>> = BTreeMap::new();
    for (address, all) in needs {
        all.iter().for_each(|n| users.entry(n).or_default().push(address));
    }
    for address in order.iter().rev() {
        let users = users.get(address).map_or(&[][..], Vec::as_slice);
        // Moving it right makes its arrows shorter on one side, and longer on the other.
        if users.len() > needs[address].len()
            && let Some(first) = users.iter().map(|u| column[*u]).min()
        {
            column.insert(address.clone(), first - 1);
        }
    }
    column
}

/// From the top: scopes between which many arrows run stand near each other.
fn bands(
    scopes: &BTreeSet<&str>,
    edges: &BTreeMap<Address, BTreeSet<Address>>,
    columns: &BTreeMap<Address, usize>,
) -> BTreeMap<String, usize> {
    let mut between: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (to, all) in edges {
        for from in all.iter().filter(|from| scope(from) != scope(to) && edges.contains_key(from)) {
            *between.entry((scope(from), scope(to))).or_default() += 1;
        }
    }
    let middle = |s: &str| {
        let all: Vec<usize> = columns.iter().filter(|(a, _)| scope(a) == s).map(|(_, c)| *c).collect();
        all.iter().sum::<usize>() * 1_000 / all.len().max(1)
    };
    let mut order: Vec<&str> = scopes.iter().copied().collect();
    order.sort_by_key(|s| middle(s));
    let cost = |order: &[&str]| -> usize {
        let at: BTreeMap<&str, usize> = order.iter().enumerate().map(|(i, s)| (*s, i)).collect();
        between.iter().map(|((a, b), n)| at[a].abs_diff(at[b]) * n).sum()
    };
    let mut best = cost(&order);
    for _ in 0..SWEEPS {
        let before = best;
        for i in 0..order.len() {
            for j in i + 1..order.len().min(i + 8) {
                order.swap(i, j);
                match cost(&order) {
                    less if less < best => best = less,
                    _ => order.swap(i, j),
                }
            }
        }
        if best == before {
            break;
        }
    }
    order.into_iter().enumerate().map(|(i, s)| (s.to_owned(), i)).collect()
}

/// Gives every item its height in the drawing, and returns the top and bottom of the bands.
fn place(items: &mut [Item], bands: usize) -> Vec<(f64, f64)> {
    let mut cells: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (i, item) in items.iter().enumerate() {
        cells.entry((item.band, item.column)).or_default().push(i);
    }
    let room = |all: &[usize], items: &[Item]| all.iter().map(|i| items[*i].height + GAP).sum::<f64>();
    let mut tops = vec![];
    let mut y = PADDING;
    for band in 0..bands {
        let columns = cells.range((band, 0)..(band + 1, 0));
        let tallest = columns.map(|(_, all)| room(all, items)).fold(0.0, f64::max);
        let bottom = y + TITLE + tallest + PADDING;
        tops.push((y, bottom));
        y = bottom + PADDING;
    }
    for ((band, _), all) in &cells {
        stack(items, all, tops[*band], |_| None);
    }
    // From the left and from the right in turn, each item goes near its neighbours on that side.
    for sweep in 0..SWEEPS {
        let mut keys: Vec<(usize, usize)> = cells.keys().copied().collect();
        keys.sort_by_key(|(_, column)| *column);
        if sweep % 2 == 1 {
            keys.reverse();
        }
        for key in keys {
            let wish = |item: &Item, items: &[Item]| {
                let side = if sweep + 1 == SWEEPS {
                    item.left.iter().chain(&item.right).copied().collect()
                } else if sweep % 2 == 0 {
                    item.left.clone()
                } else {
                    item.right.clone()
                };
                let ys: Vec<f64> = side.iter().map(|n| items[*n].y).collect();
                (!ys.is_empty()).then(|| ys.iter().sum::<f64>() / ys.len() as f64)
            };
            let Some(all) = cells.get_mut(&key) else { continue };
            let wishes: BTreeMap<usize, f64> =
                all.iter().map(|i| (*i, wish(&items[*i], items).unwrap_or(items[*i].y))).collect();
            all.sort_by(|a, b| wishes[a].total_cmp(&wishes[b]).then(a.cmp(b)));
            let all = all.clone();
            stack(items, &all, tops[key.0], |i| wishes.get(&i).copied());
        }
    }
    tops
}

/// Puts `all` below each other, each as near to its wish as the others leave room.
fn stack(items: &mut [Item], all: &[usize], (top, bottom): (f64, f64), wish: impl Fn(usize) -> Option<f64>) {
    let mut free = top + TITLE;
    for i in all {
        let half = items[*i].height / 2.0;
        let y = wish(*i).unwrap_or(free + half).max(free + half);
        items[*i].y = y;
        free = y + half + GAP;
    }
    let mut free = bottom - PADDING;
    for i in all.iter().rev() {
        let half = items[*i].height / 2.0;
        items[*i].y = items[*i].y.min(free - half);
        free = items[*i].y - half - GAP;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[(&str, &[&str])]) -> Layout {
        let edges: BTreeMap<Address, BTreeSet<Address>> = list
            .iter()
            .map(|(a, needs)| (Address::from(*a), needs.iter().map(|n| Address::from(*n)).collect()))
            .collect();
        layout(&edges.keys().map(|a| (a.clone(), 100.0)).collect(), &edges)
    }

    fn apart(a: &Rect, b: &Rect) -> bool {
        a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y
    }

    #[test]
    fn nothing_covers_anything_and_all_is_in_its_band() {
        let many: Vec<(String, Vec<String>)> = (0..60)
            .map(|i| {
                let needs = [i / 2, i / 3, i / 5].into_iter().filter(|n| *n < i);
                let name = |n: usize| format!("scope-{}/node-{n}", n % 4);
                (name(i), needs.map(name).collect())
            })
            .collect();
        let needs: Vec<Vec<&str>> =
            many.iter().map(|(_, n)| n.iter().map(String::as_str).collect()).collect();
        let list: Vec<(&str, &[&str])> =
            many.iter().zip(&needs).map(|((a, _), n)| (a.as_str(), n.as_slice())).collect();
        let layout = of(&list);
        let boxes: Vec<(&Address, &Rect)> = layout.boxes.iter().collect();
        assert_eq!(boxes.len(), 60);
        for (i, (a, one)) in boxes.iter().enumerate() {
            for (b, other) in &boxes[i + 1..] {
                assert!(apart(one, other), "{a} {one:?} and {b} {other:?}");
            }
            let (_, band) = layout.bands.iter().find(|(s, _)| s == scope(a)).unwrap();
            assert!(one.y >= band.y && one.y + one.height <= band.y + band.height, "{a}");
            assert!(one.x >= 0.0 && one.x + one.width <= layout.width && one.y + one.height <= layout.height);
        }
        for (i, (_, one)) in layout.bands.iter().enumerate() {
            assert!(layout.bands[i + 1..].iter().all(|(_, other)| apart(one, other)));
        }
    }

    #[test]
    fn arrows_lead_to_the_right_and_say_nothing_twice() {
        let layout = of(&[("a", &[]), ("b", &["a"]), ("c", &["a", "b"]), ("d/x", &["a"])]);
        let arrows: BTreeSet<(&str, &str)> =
            layout.arrows.iter().map(|a| (a.from.0.as_str(), a.to.0.as_str())).collect();
        assert_eq!(arrows, BTreeSet::from([("a", "b"), ("a", "d/x"), ("b", "c")]));
        for arrow in &layout.arrows {
            assert!(arrow.points.windows(2).all(|p| p[0].0 <= p[1].0), "{arrow:?}");
        }
    }

    #[test]
    fn a_long_arrow_passes_beside_what_is_between() {
        let layout = of(&[
            ("s/a", &[]),
            ("s/b", &["s/a"]),
            ("s/c", &["s/b"]),
            ("s/d", &["s/c", "s/e"]),
            ("s/e", &["s/a"]),
            ("s/f", &["s/c", "s/a"]),
        ]);
        for arrow in &layout.arrows {
            for (address, rect) in &layout.boxes {
                let inside = |(x, y): &(f64, f64)| {
                    *x > rect.x && *x < rect.x + rect.width && *y > rect.y && *y < rect.y + rect.height
                };
                assert!(!arrow.points.iter().any(inside), "{arrow:?} through {address}");
            }
        }
    }
}
