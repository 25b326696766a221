//! The calendar and the hours of B3, as the exchange publishes them.

use bdays::HolidayCalendar;
use bdays::easter::easter_num_days_from_ce;
use chrono::{Datelike, NaiveDate, NaiveTime, Offset, TimeZone};
use chrono_tz::America::{New_York, Sao_Paulo};

use super::Hours;

/// The start of continuous trading.
pub(super) const OPEN: NaiveTime = hour(10);

/// The end of trading, including the closing call, while Sao Paulo is one hour ahead of New York.
pub(super) const CLOSE: NaiveTime = hour(17);

/// The end of trading while Sao Paulo is two or three hours ahead.
const CLOSE_LATE: NaiveTime = hour(18);

/// The start of trading on Ash Wednesday.
const OPEN_ASH_WEDNESDAY: NaiveTime = hour(13);

/// The days from Ash Wednesday to Easter.
const ASH_WEDNESDAY: i32 = 46;

/// The first year in which the close follows New York. For earlier years, all days have the same close here.
const FIRST_YEAR_BY_SEASON: i32 = 2015;

/// The first whole year of the Gregorian calendar, by which Easter is computed.
const FIRST_YEAR: i32 = 1583;

const fn hour(hour: u32) -> NaiveTime {
    match NaiveTime::from_hms_opt(hour, 0, 0) {
        Some(time) => time,
        None => NaiveTime::MIN,
    }
}

/// Returns whether B3 trades on `date`: not on a weekend, a national holiday, Carnival, Good Friday, Corpus Christi, 24 or 31
/// December.
///
/// ```
/// use market::session::is_business_day;
/// let day = |d| chrono::NaiveDate::from_ymd_opt(2020, 4, d).unwrap();
/// assert!(is_business_day(day(9)));
/// assert!(!is_business_day(day(10)), "Good Friday");
/// ```
pub fn is_business_day(date: NaiveDate) -> bool {
    date.year() >= FIRST_YEAR && bdays::calendars::brazil::BrazilExchange.is_bday(date)
}

/// Returns the hours of a day, whether or not B3 trades on it.
///
/// Since 2015 the close follows New York: 17:00 while Sao Paulo is one hour ahead of it, else 18:00. B3 announces each change;
/// the tests list the announcements.
pub(super) fn hours(date: NaiveDate) -> Hours {
    let late = date.year() >= FIRST_YEAR_BY_SEASON && hours_ahead_of_new_york(date) > 1;
    Hours { open: OPEN.max(earliest_opening(date)), close: if late { CLOSE_LATE } else { CLOSE } }
}

/// Returns the time before which no session of a day opens: 13:00 on Ash Wednesday, midnight on other days.
pub(super) fn earliest_opening(date: NaiveDate) -> NaiveTime {
    if is_ash_wednesday(date) { OPEN_ASH_WEDNESDAY } else { NaiveTime::MIN }
}

fn is_ash_wednesday(date: NaiveDate) -> bool {
    easter_num_days_from_ce(date.year()).is_ok_and(|easter| date.num_days_from_ce() == easter - ASH_WEDNESDAY)
}

fn hours_ahead_of_new_york(date: NaiveDate) -> i32 {
    let noon = date.and_time(hour(12));
    let seconds = |offset: chrono::FixedOffset| offset.local_minus_utc();
    let new_york = seconds(New_York.offset_from_utc_datetime(&noon).fix());
    let sao_paulo = seconds(Sao_Paulo.offset_from_utc_datetime(&noon).fix());
    (sao_paulo - new_york) / 3600
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    #[test]
    fn the_exchange_is_closed_on_its_holidays() {
        for day in [
            "2020-01-01",
            "2020-02-24",
            "2020-02-25",
            "2020-04-10",
            "2020-04-21",
            "2020-05-01",
            "2020-06-11",
            "2020-12-24",
            "2020-12-25",
            "2020-12-31",
            "2020-04-04",
            "2022-12-30",
            "2023-12-29",
            "2024-11-20",
            "2025-12-24",
            "2025-12-31",
            "2026-02-16",
            "2026-02-17",
        ] {
            assert!(!is_business_day(date(day)), "{day}");
        }
        for day in ["2020-04-01", "2020-04-09", "2020-04-13", "2020-02-26", "2020-12-23", "2020-12-30", "2026-02-18"] {
            assert!(is_business_day(date(day)), "{day}");
        }
        assert!(!is_business_day(date("1500-01-06")), "no such exchange, and no such calendar");
    }

    /// By B3's calendars of trading, <https://www.b3.com.br/pt_br/solucoes/plataformas/puma-trading-system/para-participantes-e-traders/calendario-de-negociacao/>:
    /// "quarta-feira de cinzas, início às 13h00".
    #[test]
    fn ash_wednesday_begins_at_thirteen() {
        let days = [
            "2019-03-06",
            "2020-02-26",
            "2021-02-17",
            "2022-03-02",
            "2023-02-22",
            "2024-02-14",
            "2025-03-05",
            "2026-02-18",
        ];
        for day in days {
            assert_eq!(hours(date(day)), Hours { open: OPEN_ASH_WEDNESDAY, close: CLOSE_LATE }, "{day}");
        }
        for year in 2019..=2026 {
            let first = NaiveDate::from_ymd_opt(year, 1, 1).expect("a date");
            let late = first.iter_days().take(365).filter(|day| hours(*day).open != OPEN);
            assert_eq!(late.map(|day| day.to_string()).collect::<Vec<_>>(), [days[year as usize - 2019]], "{year}");
        }
    }

    /// The first day of each change, and the close from then on, by what B3 had announced.
    #[test]
    fn the_close_changes_on_the_days_that_b3_announced() {
        let announced = [
            // https://virginia.exame.com/invest/mercados/bovespa-muda-horario-de-negociacao-a-partir-de-outubro
            ("2016-10-17", 18),
            // "Fica em vigor até março de 2017"; New York changed on the 12th.
            ("2017-03-13", 17),
            // https://virginia.exame.com/invest/mercados/pregao-da-bolsa-sera-ampliado-a-partir-de-16-de-outubro
            ("2017-10-16", 18),
            // http://www.valor.com.br/financas/5375417/horario-de-verao-nos-eua-altera-funcionamento-de-pregao-na-b3
            ("2018-03-12", 17),
            // https://suno.com.br/noticias/horario-de-negociacao-da-b3/amp
            ("2018-11-05", 18),
            ("2019-03-11", 17),
            // Both in https://www.aquinoticias.com/2020/03/20200304161904-negociacoes-da-bolsa-voltam-a-se-encerrar-as-17-horas-no-dia-9/
            ("2019-11-04", 18),
            ("2020-03-09", 17),
            // Both in https://exame.com/invest/pregao-na-b3-passara-a-fechar-mais-cedo-a-partir-de-segunda-feira-veja-o-novo-horario/
            ("2020-11-03", 18),
            ("2021-03-15", 17),
            // https://invest.exame.com/invest/b3-tera-novos-horarios-de-funcionamento-a-partir-de-segunda-feira/
            ("2021-11-08", 18),
            // https://invest.exame.com/invest/b3-retoma-final-de-pregao-as-17h-a-partir-do-dia-14-de-marco/
            ("2022-03-14", 17),
            // https://spacemoney.com.br/?p=333565
            ("2022-11-07", 18),
            ("2023-03-13", 17),
            // https://einvestidor.estadao.com.br/ultimas/b3-muda-horario-funcionamento-bolsa
            ("2023-11-06", 18),
            // https://bpmoney.com.br/mercado/b3-tem-novo-horario-a-partir-de-segunda-feira-11-confira
            ("2024-03-11", 17),
            // https://economia.uol.com.br/mais/suno/2024/11/04/b3-b3sa3-tem-horario-de-negociacao-ampliado-a-partir-desta-segunda-04.htm
            ("2024-11-04", 18),
            // Both in https://exame.com/invest/mercados/b3-tera-novos-horarios-de-negociacao-a-partir-de-novembro-confira/
            ("2025-03-10", 17),
            ("2025-11-03", 18),
        ];
        let trading = |day: &NaiveDate| is_business_day(*day);
        for (at, (first, close)) in announced.iter().enumerate() {
            let next = announced.get(at + 1).map_or(date("2026-02-28"), |(next, _)| date(next));
            for day in date(first).iter_days().take_while(|day| *day < next).filter(trading) {
                assert_eq!(hours(day).close, hour(*close), "{day}");
            }
        }
        let before = date("2016-10-14");
        assert_eq!(hours(before).close, CLOSE, "{before}");
    }

    #[test]
    fn every_date_has_hours() {
        for day in [NaiveDate::MIN, NaiveDate::MAX, date("1582-01-01"), date("0001-01-01"), date("9999-12-31")] {
            assert!(hours(day).open < hours(day).close, "{day}");
        }
    }
}
