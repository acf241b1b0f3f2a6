//! The word that was probably meant.

/// The known word that is at most two slips away (one for short words), if any; the first of
/// the nearest. Case, `-` and `_` do not count.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = plain(word);
    if word.is_empty() || word.len() > 80 {
        return None;
    }
    let distances = known.iter().map(|known| (slips(&word, &plain(known)), *known));
    let (distance, known) = distances.min_by_key(|(distance, _)| *distance)?;
    let allowed = if known.len() < 5 || word.len() < 5 { 1 } else { 2 };
    (distance <= allowed).then_some(known)
}

fn plain(word: &str) -> Vec<char> {
    word.chars().filter(|char| !matches!(char, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// Letters added, dropped, changed or swapped with their neighbour.
fn slips(one: &[char], two: &[char]) -> usize {
    let mut before = vec![0; two.len() + 1];
    let mut above: Vec<usize> = (0..=two.len()).collect();
    for (row, left) in one.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, right) in two.iter().enumerate() {
            let changed = above[column] + usize::from(left != right);
            let mut least = changed.min(above[column + 1] + 1).min(line[column] + 1);
            let crossed = row > 0 && column > 0;
            if crossed && *left == two[column - 1] && one[row - 1] == *right {
                least = least.min(before[column - 1] + 1);
            }
            line.push(least);
        }
        before = std::mem::replace(&mut above, line);
    }
    above[two.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen_are_recognised_and_strangers_are_not() {
        let known = ["listen", "public_url", "hosts", "tls", "command", "url", "env", "era"];
        assert_eq!(nearest("lisen", &known), Some("listen"));
        assert_eq!(nearest("publicUrl", &known), Some("public_url"));
        assert_eq!(nearest("host", &known), Some("hosts"));
        assert_eq!(nearest("comamnd", &known), Some("command"));
        assert_eq!(nearest("uri", &known), Some("url"));
        assert_eq!(nearest("argumentation", &known), None);
        assert_eq!(nearest("", &known), None);
    }
}
