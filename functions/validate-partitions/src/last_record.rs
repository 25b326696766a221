//! Checks whether the last record of a file without a final line end is complete.
//!
//! A file may be written without a final line end, and a truncated file has none either. If whole fields were truncated, the
//! record is ragged, and rejected like any other. If the file was truncated within the last field, the record has all its
//! fields, but the number in the last one may have lost digits. So that number is published only if the rest of the record
//! confirms it.

use market::header::Header;
use market::number::{Cell, parse_amount, parse_decimal, parse_quantity};
use market::record::{Disposition, Record};
use market::snapshot::Feed;

/// The tolerance of the comparison of volume with quantity and prices. Numbers with a suffix have three decimals at most, as in
/// the check `average_price`.
const SLACK: f64 = 0.005;

/// Returns why the last field of this record may have been cut off, or `None` if it is complete or not published.
///
/// The last field of `quotes` is the volume. It is confirmed if volume / quantity lies between the lowest and the highest
/// price, or if nothing was traded and there is no volume. The last field of `options` is in no table, nor is a column that was
/// added to the header.
pub(crate) fn cut_off(record: Record<'_>, header: &Header) -> Option<String> {
    if record.disposition(header) != Disposition::Publish || !header.added_columns().is_empty() {
        return None;
    }
    let columns = header.feed().raw_columns();
    let text = |name: &str| {
        let at = columns.iter().position(|column| *column == name).map_or(usize::MAX, |at| at + 1);
        record.field(at)
    };
    match header.feed() {
        Feed::Options => None,
        Feed::Quotes => {
            let volume = parse_amount(text("VolTot"));
            let quantity = match parse_quantity(text("QTot")) {
                Cell::Value(quantity) if quantity > 0 => Some(quantity as f64),
                _ => None,
            };
            let [min, max] = ["Min", "Max"].map(|name| positive(parse_decimal(text(name))));
            let why = match (volume, quantity) {
                // Not a number: the cell is in `rejects`.
                (Cell::Reject(_), _) => return None,
                (Cell::Null | Cell::Value(0.0), None) => return None,
                (Cell::Value(volume), Some(quantity)) => match (min, max) {
                    (Some(min), Some(max)) if confirms(volume, quantity, min, max) => return None,
                    (Some(min), Some(max)) => {
                        format!("a volume of {volume} does not fit {quantity} traded at {min} to {max}")
                    }
                    _ => format!("no prices confirm its volume of {volume}"),
                },
                (Cell::Value(volume), None) => format!("no quantity confirms its volume of {volume}"),
                (Cell::Null, Some(quantity)) => format!("{quantity} were traded, and it has no volume"),
            };
            Some(format!("{}: {why}", String::from_utf8_lossy(record.field(0)).trim()))
        }
    }
}

fn confirms(volume: f64, quantity: f64, min: f64, max: f64) -> bool {
    volume >= (1.0 - SLACK) * min * quantity && volume <= (1.0 + SLACK) * max * quantity
}

fn positive(cell: Cell<f64>) -> Option<f64> {
    match cell {
        Cell::Value(value) if value > 0.0 => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::record::Splitter;

    fn quote(min: &str, max: &str, quantity: &str, volume: &str) -> Option<String> {
        let line = format!("PETR4,1,,15,{max},{min},15,15,1,1,1,15,,1000,PETROBRAS PN,{quantity},,,{volume}");
        cut_off(Splitter::new(b',').split(line.as_bytes()), &Feed::Quotes.into())
    }

    #[test]
    fn a_volume_that_lost_digits_is_not_confirmed() {
        let whole = "155000";
        assert_eq!(quote("15.0", "16.0", "10000", whole), None);
        for cut in 0..whole.len() {
            assert!(quote("15.0", "16.0", "10000", &whole[..cut]).is_some(), "{}", &whole[..cut]);
        }
        for (volume, cuts) in [("5m762", ["5", ""].as_slice()), ("57.646", &["57.64", "57.6", "57.", "57", "5"])] {
            let (min, quantity) = if volume == "5m762" { ("15.1", "379k1") } else { ("9.5", "6.050") };
            let max = if volume == "5m762" { "15.3" } else { "9.6" };
            assert_eq!(quote(min, max, quantity, volume), None, "{volume}");
            for cut in cuts {
                // A text that is not a number any more is rejected by itself.
                let rejected = matches!(parse_amount(cut.as_bytes()), Cell::Reject(_));
                assert_eq!(quote(min, max, quantity, cut).is_none(), rejected, "{cut}");
            }
        }
    }

    #[test]
    fn what_nobody_traded_has_no_volume_to_lose() {
        for (quantity, volume) in [("0", "0"), ("-", "-"), ("", ""), ("0", "-"), ("nan", "0")] {
            assert_eq!(quote("-", "-", quantity, volume), None, "{quantity} {volume}");
        }
        assert!(quote("-", "-", "-", "155").expect("suspect").contains("no quantity confirms"));
        assert!(quote("-", "-", "100", "155").expect("suspect").contains("no prices confirm"));
        assert!(quote("15", "16", "100", "").expect("suspect").contains("100 were traded, and it has no volume"));
    }

    #[test]
    fn a_record_that_is_not_published_and_one_of_options_need_no_confirmation() {
        let ragged = "PETR4,1,,15";
        assert_eq!(cut_off(Splitter::new(b',').split(ragged.as_bytes()), &Feed::Quotes.into()), None);
        let option = format!("PETRD15;{};0.6", ["1"; 21].join(";"));
        assert_eq!(cut_off(Splitter::new(b';').split(option.as_bytes()), &Feed::Options.into()), None);
    }

    #[test]
    fn a_last_field_that_no_table_has_needs_no_confirmation() {
        let line = format!("x,{},Vwap", Feed::Quotes.raw_columns().join(","));
        let header = Header::parse(Feed::Quotes, line.as_bytes()).expect("a header");
        let record = "PETR4,1,,15,16,15,15,15,1,1,1,15,,1000,PETROBRAS PN,10000,,,155";
        assert!(cut_off(Splitter::new(b',').split(record.as_bytes()), &Feed::Quotes.into()).is_some());
        assert_eq!(cut_off(Splitter::new(b',').split(format!("{record},15.").as_bytes()), &header), None);
    }
}
