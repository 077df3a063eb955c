//! Files that an image holds for nothing, below the instruction that made them.

use std::cmp::Reverse;

use builder::toolchain::{HiddenFile, LayerReport};

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WastedRow {
    /// A layer, with the bytes that it wastes.
    Layer { layer: usize, bytes: u64 },
    /// A file of it.
    File(HiddenFile),
}

/// The layers that waste most first, and so their files.
pub fn wasted_rows(layers: &[LayerReport]) -> Vec<WastedRow> {
    let mut order: Vec<usize> = (0..layers.len()).filter(|at| !layers[*at].hidden.is_empty()).collect();
    order.sort_by_key(|at| Reverse(layers[*at].wasted));
    let rows = order.into_iter().flat_map(|layer| {
        let heading = WastedRow::Layer { layer, bytes: layers[layer].wasted };
        std::iter::once(heading).chain(layers[layer].hidden.iter().cloned().map(WastedRow::File))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browse::samples::layers;

    #[test]
    fn the_worst_instruction_comes_first() {
        let mut all = layers(&["- a 1", "- b 2, - c 3", ""]);
        let file = |path: &str, size, layer| HiddenFile { path: path.into(), size, layer, by: 2 };
        (all[0].wasted, all[0].hidden) = (1, vec![file("a", 1, 0)]);
        (all[1].wasted, all[1].hidden) = (5, vec![file("c", 3, 1), file("b", 2, 1)]);
        assert_eq!(
            wasted_rows(&all),
            [
                WastedRow::Layer { layer: 1, bytes: 5 },
                WastedRow::File(file("c", 3, 1)),
                WastedRow::File(file("b", 2, 1)),
                WastedRow::Layer { layer: 0, bytes: 1 },
                WastedRow::File(file("a", 1, 0)),
            ]
        );
    }
}
