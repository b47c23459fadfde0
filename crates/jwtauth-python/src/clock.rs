//! The database's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pyo3::{exceptions::PyValueError, prelude::*};

/// How far the database's clock is from this process's. Times are milliseconds since 1970.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct DatabaseClock(jwtauth::DatabaseClock);

#[pymethods]
impl DatabaseClock {
    #[new]
    fn new() -> Self {
        Self(jwtauth::DatabaseClock::new())
    }

    #[pyo3(signature = (*, asked, answered, theirs))]
    fn hear(&self, asked: i64, answered: i64, theirs: i64) {
        self.0.hear(at(asked)..=at(answered), at(theirs));
    }

    fn now(&self, local: i64) -> u64 {
        self.0.now(at(local)).as_secs()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// The time of so many milliseconds since 1970; the last or first that this machine knows beyond it.
fn at(milliseconds: i64) -> SystemTime {
    let distance = Duration::from_millis(milliseconds.unsigned_abs());
    let time = if milliseconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

/// Return the Unix seconds of the UTC that Django writes into a column of `SQLite`: `2026-01-31 23:59:59.250000`.
#[pyfunction]
pub(crate) fn stored_seconds(text: &str) -> PyResult<u64> {
    parse(text).ok_or_else(|| PyValueError::new_err("not a time as Django stores it"))
}

fn parse(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_at_checked(19)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b' ', h1, h2, b':', i1, i2, b':', s1, s2] = whole.as_bytes()
    else {
        return None;
    };
    let is_fraction = fraction.strip_prefix('.').is_some_and(|digits| digits.bytes().all(|it| it.is_ascii_digit()));
    if !is_fraction && !fraction.is_empty() {
        return None;
    }
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u64, |sum, it| it.is_ascii_digit().then(|| sum * 10 + u64::from(it - b'0')))
    };
    let (year, month, day) = (number(&[*y1, *y2, *y3, *y4])?, number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*i1, *i2])?, number(&[*s1, *s2])?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59
    {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1;
    Some((days - EPOCH) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// The days from the first of March of the year 0 to the first of January 1970.
const EPOCH: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_django_stores_it() {
        for (text, seconds) in [
            ("1970-01-01 00:00:00", 0),
            ("1999-12-31 23:59:59", 946_684_799),
            ("2000-02-29 12:00:00.999999", 951_825_600),
            ("2000-03-01 00:00:00", 951_868_800),
            ("2100-03-01 00:00:00", 4_107_542_400),
            ("9999-12-31 23:59:59", 253_402_300_799),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_django_does_not_store_is_refused() {
        for text in [
            "",
            "2026-01-31",
            "2026-01-31T23:59:59",
            "2026-01-31 23:59:59Z",
            "2026-01-31 23:59:59.5x",
            "2026-01-31 24:00:00",
            "2026-13-01 00:00:00",
            "2026-00-01 00:00:00",
            "2026-01-00 00:00:00",
            "1969-12-31 23:59:59",
            "+026-01-31 23:59:59",
            "2026-01-31 23:59:5é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
