//! Simulates one day of trading: prices move, and the panel shows the state of every instrument after each step.
//!
//! Prices are whole cents, and totals are rounded to what the panel shows: three digits after the suffix (`379k1`). So a
//! total reads back as the same number in any style, totals never decrease, and volume divided by quantity lies between the
//! lowest and the highest price.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::listing::{Cents, Listing, Series, Stock};
use crate::option_price::{Worth, black_scholes};
use crate::rng::Rng;

/// The state of one instrument as the panel shows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    pub last_close: Cents,
    /// Whether it is in auction, where it has no price.
    pub auction: bool,
    pub bid: Option<Offer>,
    pub ask: Option<Offer>,
    /// `None` before the first trade.
    pub trades: Option<Trades>,
}

/// One side of the order book.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer {
    pub price: Cents,
    pub quantity: i64,
}

/// The trades of the session so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trades {
    pub open: Cents,
    pub min: Cents,
    pub max: Cents,
    pub last: Cents,
    pub count: i64,
    pub quantity: i64,
    pub volume: Cents,
    pub last_quantity: i64,
}

/// Trades within one step.
#[derive(Debug, Clone, Copy)]
struct Burst {
    low: Cents,
    high: Cents,
    average: Cents,
    last: Cents,
    count: i64,
    quantity: i64,
}

/// Last prices by ticker, with which the next day starts.
pub(crate) type Closes = BTreeMap<String, Cents>;

/// The exchange during one day.
pub(crate) struct Day<'a> {
    pub listing: &'a Listing,
    pub stocks: Vec<Book>,
    /// The fractional lots of the stocks, by the position of the stock.
    pub lots: Vec<Book>,
    pub series: Vec<Book>,
    prices: Vec<StockPrice>,
    /// The theoretical price of each series at the last step.
    values: Vec<Cents>,
    rng: Rng,
}

/// The price of a stock in thousandths of a cent: in whole cents, a penny stock would never move.
#[derive(Debug, Clone, Copy)]
struct StockPrice {
    fine: i64,
    /// The mean to which the price reverts, so that it stays within the strikes.
    home: i64,
    volatility: f64,
}

/// Approximate number of steps in a day. It determines only the size of a move in one step.
const STEPS_A_DAY: i64 = 42;

impl<'a> Day<'a> {
    /// Creates the exchange before its opening on `date`, after a day that ended at `closes`.
    pub(crate) fn open(listing: &'a Listing, date: NaiveDate, seed: u64, closes: &Closes) -> Day<'a> {
        let mut rng = Rng::new(seed, crate::stream::trading(date));
        let closed_at = |ticker: &str, fallback: Cents| closes.get(ticker).copied().unwrap_or(fallback);
        let book = |last_close| Book { last_close, ..Book::default() };

        let mut prices = Vec::with_capacity(listing.stocks.len());
        let (mut stocks, mut lots) = (Vec::new(), Vec::new());
        for stock in &listing.stocks {
            let close = closed_at(&stock.ticker, stock.close);
            stocks.push(book(close));
            lots.push(book(closed_at(&lot_ticker(stock), close)));
            let overnight = rng.swing() * 12;
            prices.push(StockPrice {
                fine: close * 1000 + close * overnight / 1000,
                home: stock.close * 1000,
                volatility: (stock.tier.volatility() + rng.between(-40, 40)) as f64 / 1000.0,
            });
        }
        let values: Vec<Cents> = listing
            .series
            .iter()
            .map(|series| to_cents(implied(series, &prices[series.stock], closed_at_stock(&stocks, series), 0.0).price))
            .collect();
        let series = listing
            .series
            .iter()
            .zip(&values)
            .map(|(series, value)| book(closed_at(&series.ticker, *value).max(1)))
            .collect();
        Day { listing, stocks, lots, series, prices, values, rng }
    }

    /// Simulates one step. `opening` marks the first step of the day, which has auctions.
    pub(crate) fn step(&mut self, opening: bool) {
        for (at, stock) in self.listing.stocks.iter().enumerate() {
            self.step_stock(at, stock, opening);
        }
        for (at, series) in self.listing.series.iter().enumerate() {
            self.step_series(at, series, opening);
        }
    }

    /// Returns the last prices, for the next day.
    pub(crate) fn closes(&self) -> Closes {
        let last = |book: &Book| book.trades.map_or(book.last_close, |trades| trades.last);
        let stocks =
            self.listing.stocks.iter().zip(&self.stocks).map(|(stock, book)| (stock.ticker.clone(), last(book)));
        let lots = self.listing.stocks.iter().zip(&self.lots).map(|(stock, book)| (lot_ticker(stock), last(book)));
        let series = self.listing.series.iter().zip(&self.series).map(|(s, book)| (s.ticker.clone(), last(book)));
        stocks.chain(lots).chain(series).collect()
    }

    /// Returns the annual historical volatility of the underlying over a period as long as the series' time to expiry.
    pub(crate) fn historical_volatility(&self, series: &Series) -> f64 {
        // Short maturities have the wider cone: the crash of March is in the recent past.
        self.prices[series.stock].volatility * (1.0 + 0.2 / (1.0 + series.days as f64 / 20.0))
    }

    /// Returns the implied volatilities of bid and ask of the series at position `at`.
    pub(crate) fn implied_volatilities(&self, at: usize) -> (f64, f64) {
        let series = &self.listing.series[at];
        let price = &self.prices[series.stock];
        let spot = price.fine as f64 / 100_000.0;
        (smile(series, price, spot, -1.0), smile(series, price, spot, 1.0))
    }

    fn step_stock(&mut self, at: usize, stock: &Stock, opening: bool) {
        let rng = &mut self.rng;
        let before = self.prices[at].cents();
        self.prices[at].walk(rng);
        let now = self.prices[at].cents();

        let auction = in_auction(rng, opening);
        let half_spread = now * stock.tier.half_spread() / 10_000;
        let lot = stock.lot();

        let book = &mut self.stocks[at];
        book.auction = auction;
        (book.bid, book.ask) = offers(rng, now - half_spread, now + half_spread, lot, 99 - u32::from(stock.tier.0) * 4);
        if !auction && rng.percent(stock.tier.activity()) {
            let count = (stock.trades * rng.between(40, 180) / 100).max(1);
            let quantity = count * 100 + count * (lot - 100) * rng.between(60, 140) / 10_000 * 100;
            book.trade(Burst::between(rng, before, now, half_spread, count, quantity));
        }

        if has_lots(stock) {
            let book = &mut self.lots[at];
            book.auction = in_auction(rng, opening);
            let half_spread = half_spread * 2 + 2;
            (book.bid, book.ask) =
                offers(rng, now - half_spread, now + half_spread, 1, 95 - u32::from(stock.tier.0) * 8);
            if !book.auction && rng.percent(stock.tier.activity()) {
                let count = (stock.trades / 15 * rng.between(40, 180) / 100).max(2);
                let quantity = count * rng.between(2, 45);
                book.trade(Burst::between(rng, before, now, half_spread, count, quantity));
            }
        }
    }

    fn step_series(&mut self, at: usize, series: &Series, opening: bool) {
        let rng = &mut self.rng;
        let price = &self.prices[series.stock];
        let spot = price.fine as f64 / 100_000.0;
        let (low, high) = (implied(series, price, spot, -1.0).price, implied(series, price, spot, 1.0).price);
        let (bid, ask) = (to_cents(low), to_cents(high));
        let before = self.values[at].max(1);
        let now = i64::midpoint(bid, ask).max(1);
        self.values[at] = now;

        // Series are sorted by how likely they are quoted.
        let (quoted, activity, trades, lot) = match at {
            0..300 => (99, 60, 40, 1500),
            300..1000 => (92, 25, 8, 900),
            1000..2500 => (80, 6, 3, 600),
            _ => (62, 1, 1, 300),
        };
        let auction = in_auction(rng, opening);
        let book = &mut self.series[at];
        book.auction = auction;
        (book.bid, book.ask) = offers(rng, bid, ask.max(2), lot, quoted);
        if !auction && rng.percent(activity) {
            let count = (trades * rng.between(20, 180) / 100).max(1);
            let quantity = count * 100 + count * (lot - 100) * rng.between(10, 190) / 10_000 * 100;
            book.trade(Burst::between(rng, before, now, (ask - bid) / 2, count, quantity));
        }
    }
}

/// Returns the ticker of a stock's fractional lot.
pub(crate) fn lot_ticker(stock: &Stock) -> String {
    format!("{}F", stock.ticker)
}

/// Whether a stock has a fractional lot. Receipts of foreign shares have none.
pub(crate) fn has_lots(stock: &Stock) -> bool {
    !stock.ticker.ends_with("34")
}

fn in_auction(rng: &mut Rng, opening: bool) -> bool {
    rng.one_in(if opening { 4 } else { 500 })
}

fn closed_at_stock(stocks: &[Book], series: &Series) -> f64 {
    stocks[series.stock].last_close as f64 / 100.0
}

/// Draws bid and ask around the given prices, each present with a probability of `quoted` percent.
fn offers(rng: &mut Rng, bid: Cents, ask: Cents, lot: i64, quoted: u32) -> (Option<Offer>, Option<Offer>) {
    let bid = bid - rng.between(0, 1);
    let ask = (ask + rng.between(0, 1)).max(bid + 1);
    let offer = |rng: &mut Rng, price: Cents| {
        let quantity =
            if lot == 1 { rng.between(1, 99) } else { panel_precision(rng.between(1, 40) * rng.between(1, 40) * lot) };
        (price >= 1 && rng.percent(quoted)).then_some(Offer { price, quantity })
    };
    (offer(rng, bid), offer(rng, ask))
}

impl StockPrice {
    fn cents(&self) -> Cents {
        (self.fine + 500) / 1000
    }

    /// Makes one step of a mean-reverting random walk.
    fn walk(&mut self, rng: &mut Rng) {
        // A year's volatility over the root of the steps in it, in millionths.
        let a_step = (self.volatility * 1_000_000.0) as i64 / 103;
        let drawn = (self.home - self.fine) * 1_000_000 / self.home / (8 * STEPS_A_DAY);
        self.fine += self.fine * (rng.swing() * a_step / 1000 + drawn) / 1_000_000;
        self.fine = self.fine.clamp(self.home * 6 / 10, self.home * 15 / 10).max(10_000);
    }
}

/// Returns the implied volatility: higher away from the money, and lower for the bid (`side` -1) than for the ask (1).
fn smile(series: &Series, price: &StockPrice, spot: f64, side: f64) -> f64 {
    let away = series.strike as f64 / 100.0 / spot - 1.0;
    price.volatility * (1.0 + 0.9 * away * away - 0.15 * away + side * (0.02 + 0.05 * away.abs()))
}

fn implied(series: &Series, price: &StockPrice, spot: f64, side: f64) -> Worth {
    let years = series.days as f64 / 252.0;
    black_scholes(series.right, spot, series.strike as f64 / 100.0, years, smile(series, price, spot, side))
}

fn to_cents(reais: f64) -> Cents {
    (reais * 100.0 + 0.5) as Cents
}

impl Burst {
    /// Returns `count` trades during which the price went from `before` to `now`, some of them `half_spread` away.
    fn between(rng: &mut Rng, before: Cents, now: Cents, half_spread: Cents, count: i64, quantity: i64) -> Burst {
        if count == 1 {
            return Burst { low: now, high: now, average: now, last: now, count, quantity };
        }
        let low = (before.min(now) - rng.between(0, half_spread)).max(1);
        let high = (before.max(now) + rng.between(0, half_spread)).max(low + 1);
        let last = (now + rng.between(-half_spread, half_spread)).clamp(low, high);
        Burst { low, high, average: rng.between(low, high), last, count, quantity }
    }
}

impl Book {
    fn trade(&mut self, burst: Burst) {
        let before = self.trades.unwrap_or(Trades {
            open: burst.average,
            min: burst.low,
            max: burst.high,
            last: burst.last,
            count: 0,
            quantity: 0,
            volume: 0,
            last_quantity: 0,
        });
        let min = before.min.min(burst.low);
        let max = before.max.max(burst.high);
        let quantity = panel_precision(before.quantity + burst.quantity);
        let traded = quantity - before.quantity;
        if traded == 0 {
            // Fewer shares than the digits of the panel can show.
            return;
        }
        self.trades = Some(Trades {
            min,
            max,
            last: burst.last,
            count: before.count + burst.count,
            quantity,
            volume: volume(before.volume, before.volume + traded * burst.average, min * quantity, max * quantity),
            last_quantity: (burst.quantity / burst.count).max(1),
            ..before
        });
    }
}

/// Returns the volume nearest to `exact` that the panel can show in few digits, at least `before` and with an average price
/// between the lowest and the highest. `at_lowest` and `at_highest` are the quantity times these prices.
fn volume(before: Cents, exact: Cents, at_lowest: Cents, at_highest: Cents) -> Cents {
    if at_lowest == at_highest {
        return at_lowest;
    }
    // Strictly between, because tests compare the quotient in floating point.
    let low = before.max(at_lowest + 1);
    let high = at_highest - 1;
    let exact = exact.clamp(low, high);
    // In cents. The larger the volume, the coarser the unit.
    let unit = match exact {
        100_000_000_000.. => 100_000_000,
        100_000_000.. => 100_000,
        100_000.. => 100,
        _ => 1,
    };
    let down = exact / unit * unit;
    [down, down + unit, exact / 100 * 100].into_iter().find(|volume| (low..=high).contains(volume)).unwrap_or(exact)
}

/// Truncates a quantity to the precision of the panel: three digits after a suffix.
fn panel_precision(quantity: i64) -> i64 {
    let unit = match quantity {
        1_000_000_000.. => 1_000_000,
        1_000_000.. => 1_000,
        _ => 1,
    };
    quantity / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_agree_with_prices_at_every_step() {
        for seed in 1..=3 {
            let date = NaiveDate::from_ymd_opt(2020, 4, 1).expect("a date");
            let listing = Listing::on(date, seed);
            let mut day = Day::open(&listing, date, seed, &Closes::new());
            let mut before: Vec<Book> = Vec::new();
            for step in 0..STEPS_A_DAY {
                day.step(step == 0);
                let books: Vec<Book> = day.stocks.iter().chain(&day.lots).chain(&day.series).cloned().collect();
                for (at, book) in books.iter().enumerate() {
                    check(book);
                    if let Some(earlier) = before.get(at).and_then(|book| book.trades) {
                        let trades = book.trades.expect("trades do not go away");
                        assert!(trades.quantity >= earlier.quantity && trades.volume >= earlier.volume, "{book:?}");
                        assert!(trades.count >= earlier.count && trades.open == earlier.open, "{book:?}");
                        assert!(trades.min <= earlier.min && trades.max >= earlier.max, "{book:?}");
                    }
                }
                before = books;
            }
            let traded = before.iter().filter(|book| book.trades.is_some()).count();
            assert!(traded > before.len() / 4, "only {traded} instruments were traded");
        }
    }

    fn check(book: &Book) {
        if let (Some(bid), Some(ask)) = (book.bid, book.ask) {
            assert!(1 <= bid.price && bid.price < ask.price, "{book:?}");
        }
        if let Some(t) = book.trades {
            assert!(1 <= t.min && t.min <= t.last && t.last <= t.max, "{book:?}");
            assert!(t.min <= t.open && t.open <= t.max, "{book:?}");
            assert!(1 <= t.count && t.count <= t.quantity, "{book:?}");
            let average = t.volume as f64 / 100.0 / t.quantity as f64;
            assert!(t.min as f64 / 100.0 <= average && average <= t.max as f64 / 100.0, "{book:?}: {average}");
        }
    }
}
