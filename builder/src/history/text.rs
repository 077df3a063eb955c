//! Differences of short lists and of build files.

/// Positions of a longest common subsequence.
pub(super) fn common<A, B>(old: &[A], new: &[B], same: impl Fn(&A, &B) -> bool) -> Vec<(usize, usize)> {
    let mut lengths = vec![vec![0u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            lengths[i][j] = if same(&old[i], &new[j]) {
                lengths[i + 1][j + 1] + 1
            } else {
                lengths[i + 1][j].max(lengths[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        if same(&old[i], &new[j]) {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[i + 1][j] >= lengths[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// A place where two texts differ: the number of the line in the newer one, and both lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) line: usize,
    pub(super) old: Option<String>,
    pub(super) new: Option<String>,
}

/// The edits that made `new` of `old`, in order, comments left out.
pub(super) fn edits(old: &str, new: &str) -> Vec<Edit> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let pairs = common(&old, &new, |a, b| a == b);
    let (mut from, mut to, mut all) = (0, 0, Vec::new());
    for (at_old, at_new) in pairs.into_iter().chain([(old.len(), new.len())]) {
        let (gone, come) = (&old[from..at_old], &new[to..at_new]);
        for nth in 0..gone.len().max(come.len()) {
            let text = |lines: &[&str]| lines.get(nth).map(|line| line.trim().to_owned());
            all.push(Edit { line: to + nth + 1, old: text(gone), new: text(come) });
        }
        (from, to) = (at_old + 1, at_new + 1);
    }
    let says =
        |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty() && !text.starts_with('#'));
    all.retain(|edit| says(&edit.old) || says(&edit.new));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_have_the_number_of_their_line() {
        let edit = |line, old: &str, new: &str| Edit {
            line,
            old: (!old.is_empty()).then(|| old.to_owned()),
            new: (!new.is_empty()).then(|| new.to_owned()),
        };
        assert_eq!(edits("a\nb\nc", "a\nx\nc"), [edit(2, "b", "x")]);
        assert_eq!(edits("a\nc", "a\nb\nc"), [edit(2, "", "b")]);
        assert_eq!(edits("a\nb", "b"), [edit(1, "a", "")]);
        assert_eq!(edits("a\n# b", "a\n# c"), []);
    }
}
