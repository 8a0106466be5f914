//! Recorded values that requests take turns with: the rows of a CSV file.

use crate::random::Random;
use crate::template::Malformed;

/// Rows of text under named columns.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// What `{csv:COLUMN}` may name.
    pub columns: Vec<String>,
    /// As many cells as there are columns in each.
    pub rows: Vec<Vec<Vec<u8>>>,
    /// Draw a row for each request instead of taking them in turn.
    pub random: bool,
}

impl Data {
    pub(crate) fn check(&self) -> Result<(), Malformed> {
        let even = self.rows.iter().all(|row| row.len() == self.columns.len());
        let some = self.columns.is_empty() || !self.rows.is_empty();
        if even && some {
            return Ok(());
        }
        Err(Malformed("data: at least one row, with a cell for each column".into()))
    }

    pub(crate) fn column(&self, name: &str) -> Result<usize, Malformed> {
        let found = self.columns.iter().position(|column| column == name);
        found.ok_or_else(|| {
            let known = if self.columns.is_empty() {
                "there is no data".into()
            } else {
                format!("the data has {}", self.columns.join(", "))
            };
            Malformed(format!("{{csv:{name}}}: no such column; {known}"))
        })
    }

    /// Which row a request has: all its placeholders speak of the same one.
    pub(crate) fn row(&self, number: u64, random: &mut Random) -> usize {
        match self.rows.len() as u64 {
            0 | 1 => 0,
            rows if self.random => random.between(0, rows - 1) as usize,
            rows => (number % rows) as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(rows: usize, random: bool) -> Data {
        let cells = |row: usize| vec![row.to_string().into_bytes()];
        Data { columns: vec!["user".into()], rows: (0..rows).map(cells).collect(), random }
    }

    #[test]
    fn rows_take_turns_or_are_drawn() {
        let mut random = Random::new(1);
        let turns: Vec<usize> = (0..5).map(|n| data(3, false).row(n, &mut random)).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1]);
        let drawn: Vec<usize> = (0..100).map(|_| data(3, true).row(0, &mut random)).collect();
        assert!((0..3).all(|row| drawn.contains(&row)));
    }

    #[test]
    fn uneven_and_unknown_is_refused() {
        let mut uneven = data(2, false);
        uneven.rows[1].clear();
        assert!(uneven.check().is_err());
        assert!(data(0, false).check().is_err());
        assert!(data(1, false).column("users").unwrap_err().0.contains("the data has user"));
        assert!(Data::default().column("user").unwrap_err().0.contains("no data"));
    }
}
