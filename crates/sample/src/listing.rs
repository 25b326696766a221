//! The instruments listed on the exchange: stocks, their fractional lots, and the option series of a day.
//!
//! Large companies come from `stocks.psv`. Small companies are generated from the seed, so that a snapshot has as many
//! lines as a real one. Option series depend only on the stocks and the date: strikes on a grid around the listed price, the
//! next expiries, and of these combinations the ones that a market is most likely to quote.

use std::collections::BTreeSet;
use std::fmt::Write;

use chrono::{Datelike, Duration, NaiveDate};
use market::session::is_business_day;

use crate::rng::Rng;

/// Money in hundredths of a real.
pub(crate) type Cents = i64;

/// Stocks on the exchange, small companies included.
const STOCKS: usize = 430;
/// Option series in a quotes snapshot.
const QUOTED_SERIES: usize = 4_690;
/// Option series in an options snapshot: the ones most likely to be quoted.
pub(crate) const PRICED_SERIES: usize = 3_695;
/// Monthly expiries that are open at a time.
const OPEN_EXPIRIES: usize = 4;

/// A share, unit, fund or receipt.
#[derive(Debug, Clone)]
pub(crate) struct Stock {
    pub ticker: String,
    pub name: String,
    pub sector: &'static str,
    /// Closing price before the first day of the sample.
    pub close: Cents,
    pub tier: Tier,
    /// Average number of trades in a step that has any.
    pub trades: i64,
    pub has_options: bool,
}

/// Liquidity of an instrument: 0 is a blue chip, 4 is hardly ever traded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tier(pub u8);

impl Tier {
    /// Returns the annual volatility in tenths of a percent.
    pub(crate) fn volatility(self) -> i64 {
        520 + 90 * i64::from(self.0)
    }

    /// Returns the percentage of the day's steps that have trades.
    pub(crate) fn activity(self) -> u32 {
        [100, 100, 96, 45, 7][usize::from(self.0)]
    }

    fn trades(self) -> i64 {
        [3_600, 620, 90, 6, 2][usize::from(self.0)]
    }

    /// Average volume of a trade.
    fn trade(self) -> Cents {
        [1_200_000, 900_000, 700_000, 500_000, 300_000][usize::from(self.0)]
    }

    /// Returns half of the bid-ask spread in hundredths of a percent.
    pub(crate) fn half_spread(self) -> i64 {
        [3, 5, 15, 60, 250][usize::from(self.0)]
    }
}

impl Stock {
    /// Returns the average number of shares in a trade, a multiple of 100.
    pub(crate) fn lot(&self) -> i64 {
        (self.tier.trade() / self.close / 100 * 100).max(200)
    }
}

/// The right of an option's holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    Call,
    Put,
}

impl Right {
    /// Returns the text of the options feed.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Right::Call => "CALL",
            Right::Put => "PUTT",
        }
    }

    /// Returns the exercise style: calls are American, puts European.
    pub(crate) fn style(self) -> &'static str {
        match self {
            Right::Call => "AMER",
            Right::Put => "EURO",
        }
    }
}

/// One option series.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub ticker: String,
    /// Position of the underlying in [`Listing::stocks`].
    pub stock: usize,
    pub right: Right,
    pub strike: Cents,
    pub expiry: NaiveDate,
    /// Business days to the expiry, both days counted.
    pub days: i64,
    /// Sort key: the series that is most likely to be quoted, at the money with the next expiry, has the lowest.
    pub distance: i64,
}

/// All instruments of one day.
pub(crate) struct Listing {
    pub stocks: Vec<Stock>,
    /// The most likely to be quoted first.
    pub series: Vec<Series>,
}

impl Listing {
    /// Returns the listing of `date`. The stocks depend only on the seed.
    pub(crate) fn on(date: NaiveDate, seed: u64) -> Listing {
        let stocks = stocks(seed);
        let mut series = every_series(&stocks, date);
        series.sort_by(|a, b| (a.distance, &a.ticker).cmp(&(b.distance, &b.ticker)));
        series.truncate(QUOTED_SERIES);
        Listing { stocks, series }
    }
}

fn stocks(seed: u64) -> Vec<Stock> {
    let mut stocks: Vec<Stock> = include_str!("stocks.psv").lines().skip(1).enumerate().map(big_name).collect();
    let mut roots: BTreeSet<String> = stocks.iter().map(|stock| stock.ticker[..4].to_owned()).collect();
    let mut rng = Rng::new(seed, crate::stream::LISTING);
    while stocks.len() < STOCKS {
        let stock = small_company(&mut rng);
        if roots.insert(stock.ticker[..4].to_owned()) {
            stocks.push(stock);
        }
    }
    stocks
}

/// Parses a line of `stocks.psv`, which is sorted by liquidity.
fn big_name((rank, line): (usize, &'static str)) -> Stock {
    let fields: Vec<&str> = line.split('|').collect();
    let [ticker, name, sector, close, tier, options] = fields[..] else { panic!("stocks.psv: {line}") };
    let number = |text: &str| text.parse::<i64>().unwrap_or_else(|_| panic!("stocks.psv: {line}"));
    let tier = Tier(number(tier) as u8);
    Stock {
        ticker: ticker.to_owned(),
        name: name.to_owned(),
        sector,
        close: number(&close.replace('.', "")),
        tier,
        trades: tier.trades() * (170 - 7 * rank.min(10) as i64) / 100,
        has_options: options == "1",
    }
}

const SECTORS: [&str; 10] = [
    "Petróleo, Gás e Biocombustíveis",
    "Materiais Básicos",
    "Bens Industriais",
    "Consumo não Cíclico",
    "Consumo Cíclico",
    "Saúde",
    "Tecnologia da Informação",
    "Comunicações",
    "Utilidade Pública",
    "Financeiro",
];
const FORMS: [&str; 6] = ["Companhia", "Indústrias", "Construtora", "Banco", "Comércio de", "Agropecuária"];
const SYLLABLES: [&str; 20] = [
    "Ara", "Bel", "Cam", "Dia", "Fer", "Gua", "Ita", "Jun", "Lua", "Mar", "Nor", "Oli", "Par", "Que", "Rio", "San",
    "Tab", "Uru", "Vit", "Xin",
];
const ENDINGS: [&str; 10] = ["ção", "nópolis", "mirim", "guá", "tério", "cês", "ão", "linda", "baté", "ória"];

fn small_company(rng: &mut Rng) -> Stock {
    let mut ticker: String = (0..4).map(|_| char::from(b'A' + rng.below(26) as u8)).collect();
    ticker.push_str(rng.pick(&["3", "3", "3", "4", "4", "11"]));
    let name = format!("{} {}{} S.A.", rng.pick(&FORMS), rng.pick(&SYLLABLES), rng.pick(&ENDINGS));
    // 1 to 60 reais times a random fraction, because most real prices are low.
    let close = 100 + rng.between(0, 5_900) * rng.between(20, 100) / 100;
    let sector = rng.pick(&SECTORS);
    let tier = Tier(rng.pick(&[3, 3, 3, 4]));
    Stock { ticker, name, sector, close, tier, trades: tier.trades(), has_options: false }
}

fn every_series(stocks: &[Stock], date: NaiveDate) -> Vec<Series> {
    let expiries = open_expiries(date);
    let mut series = Vec::new();
    for (position, stock) in stocks.iter().enumerate().filter(|(_, stock)| stock.has_options) {
        for strike in strikes(stock) {
            for (nth, (expiry, days)) in expiries.iter().enumerate() {
                for right in [Right::Call, Right::Put] {
                    let moneyness = (strike - stock.close).abs() * 1000 / stock.close;
                    series.push(Series {
                        ticker: series_ticker(stock, right, *expiry, strike),
                        stock: position,
                        right,
                        strike,
                        expiry: *expiry,
                        days: *days,
                        distance: (moneyness + 8) * (nth as i64 + 1) * (i64::from(stock.tier.0) * 2 + 1),
                    });
                }
            }
        }
    }
    series
}

/// Returns strikes from 60 % to 150 % of the listed price, on a grid that is finer for liquid stocks.
fn strikes(stock: &Stock) -> impl Iterator<Item = Cents> + use<> {
    const GRID: [Cents; 9] = [5, 10, 20, 25, 50, 100, 200, 250, 500];
    let wanted = stock.close * if stock.tier.0 == 0 { 15 } else { 25 } / 1000;
    let step = GRID.into_iter().find(|step| *step >= wanted).unwrap_or(500);
    let lowest = stock.close * 60 / 100 / step + 1;
    let highest = stock.close * 150 / 100 / step;
    (lowest..=highest).map(move |n| n * step)
}

/// Returns a ticker such as `B3SAR342`: four letters of the underlying, one for right and month, the strike without its
/// decimal mark.
fn series_ticker(stock: &Stock, right: Right, expiry: NaiveDate, strike: Cents) -> String {
    let first = match right {
        Right::Call => b'A',
        Right::Put => b'M',
    };
    let mut ticker = format!("{}{}{}", &stock.ticker[..4], char::from(first + expiry.month0() as u8), strike / 100);
    match strike % 100 {
        0 => {}
        cents if cents % 10 == 0 => write!(ticker, "{}", cents / 10).expect("a String takes text"),
        cents => write!(ticker, "{cents:02}").expect("a String takes text"),
    }
    ticker
}

/// Returns the next expiries from `date` on, each with the number of business days to it.
fn open_expiries(date: NaiveDate) -> Vec<(NaiveDate, i64)> {
    let months = (0..).map_while(|n| {
        let month = date.year() * 12 + date.month0() as i32 + n;
        Some(expiry(month.div_euclid(12), month.rem_euclid(12) as u32 + 1))
    });
    let next = months.filter(|expiry| *expiry >= date).take(OPEN_EXPIRIES);
    next.map(|expiry| (expiry, business_days(date, expiry))).collect()
}

/// Returns the day on which the series of a month expire: its third Monday, since May 2021 its third Friday; if that is a
/// holiday, the business day before.
fn expiry(year: i32, month: u32) -> NaiveDate {
    let weekday = if (year, month) < (2021, 5) { chrono::Weekday::Mon } else { chrono::Weekday::Fri };
    let third =
        NaiveDate::from_weekday_of_month_opt(year, month, weekday, 3).expect("every month has three of each day");
    let mut day = third;
    while !is_business_day(day) {
        day -= Duration::days(1);
    }
    day
}

fn business_days(from: NaiveDate, to: NaiveDate) -> i64 {
    from.iter_days().take_while(|day| *day <= to).filter(|day| is_business_day(*day)).count() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(y: i32, m: u32, d: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(y, m, d).expect("a date")
    }

    #[test]
    fn expiries_follow_the_rule_of_their_time() {
        for (month, day) in [((2020, 4), 20), ((2020, 6), 15), ((2021, 4), 19), ((2021, 5), 21), ((2026, 11), 19)] {
            assert_eq!(expiry(month.0, month.1), date(month.0, month.1, day), "{month:?}");
        }
        let open = open_expiries(date(2020, 4, 1));
        assert_eq!(open.len(), OPEN_EXPIRIES);
        assert_eq!(open[2], (date(2020, 6, 15), 50), "as in the real files");
        assert_eq!(open_expiries(date(2020, 4, 20))[0], (date(2020, 4, 20), 1), "open on its last day");
        assert_eq!(open_expiries(date(2020, 12, 28))[0].0, date(2021, 1, 18));
    }

    #[test]
    fn series_are_named_as_on_the_exchange() {
        let b3 = big_name((4, "B3SA3|B3|Financeiro|35.95|0|1"));
        assert_eq!(series_ticker(&b3, Right::Put, date(2020, 6, 15), 3420), "B3SAR342");
        assert_eq!(series_ticker(&b3, Right::Put, date(2020, 6, 15), 3500), "B3SAR35");
        assert_eq!(series_ticker(&b3, Right::Call, date(2020, 5, 18), 3405), "B3SAE3405");
        assert_eq!(series_ticker(&b3, Right::Call, date(2020, 1, 20), 3000), "B3SAA30");
    }

    #[test]
    fn a_day_lists_as_much_as_the_real_exchange() {
        for (seed, day) in [(1, date(2020, 4, 1)), (2, date(2020, 4, 20)), (3, date(2024, 2, 29))] {
            let listing = Listing::on(day, seed);
            assert_eq!((listing.stocks.len(), listing.series.len()), (STOCKS, QUOTED_SERIES));
            let tickers: BTreeSet<&str> = listing
                .stocks
                .iter()
                .map(|stock| stock.ticker.as_str())
                .chain(listing.series.iter().map(|series| series.ticker.as_str()))
                .collect();
            assert_eq!(tickers.len(), STOCKS + QUOTED_SERIES, "tickers are unique");
            for series in &listing.series {
                assert!(series.expiry >= day && is_business_day(series.expiry), "{series:?}");
                assert!(series.days >= 1 && series.strike > 0, "{series:?}");
            }
        }
    }
}
