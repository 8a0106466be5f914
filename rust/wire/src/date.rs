//! The Date field (RFC 9110 section 5.6.7), made without a calendar library.

/// `date: Sat, 21 Nov 2026 05:00:00 GMT\r\n` for seconds since 1970.
///
/// Civil from days: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
pub fn field(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days % 7) as usize];
    let name = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        [month as usize - 1];
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("date: {weekday}, {day:02} {name} {year} {hour:02}:{minute:02}:{second:02} GMT\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        assert_eq!(field(784_111_777), "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(field(0), "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
        assert_eq!(field(1_709_210_096), "date: Thu, 29 Feb 2024 12:34:56 GMT\r\n");
    }
}
