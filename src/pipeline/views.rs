//! The views that are made: for each door, and for each narrowing of keys.

use std::sync::{Arc, PoisonError, RwLock};

use crate::base::{Map, Narrow};
use crate::namespace::{Door, View};

/// Narrowings that are remembered; with more of them all are made anew.
const MOST: usize = 256;

/// Views of one tenant.
#[derive(Debug, Default)]
pub(super) struct Views(RwLock<Made>);

/// What was made. Most keys are not narrowed, and are found by their door alone.
#[derive(Debug, Default)]
pub(super) struct Made {
    plain: Map<Door, Arc<View>>,
    narrowed: Map<Narrow, Map<Door, Arc<View>>>,
}

impl Made {
    /// The view of a door for such a key.
    pub(super) fn get(&self, door: &Door, narrow: &Narrow) -> Option<&Arc<View>> {
        if narrow.is_none() {
            return self.plain.get(door);
        }
        self.narrowed.get(narrow)?.get(door)
    }
}

impl Views {
    /// The view of a door for such a key, made where it is missing.
    pub(super) fn get_or_make(
        &self,
        door: &Door,
        narrow: &Narrow,
        make: impl FnOnce() -> Arc<View>,
    ) -> Arc<View> {
        let views = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = views.get(door, narrow) {
            return view.clone();
        }
        drop(views);
        // Under the write lock: a catalogue that is put meanwhile clears the views afterwards.
        let mut views = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = views.get(door, narrow) {
            return view.clone();
        }
        let view = make();
        let doors = if narrow.is_none() {
            &mut views.plain
        } else {
            if views.narrowed.len() >= MOST && !views.narrowed.contains_key(narrow) {
                views.narrowed.clear();
            }
            views.narrowed.entry(narrow.clone()).or_default()
        };
        doors.insert(door.clone(), view.clone());
        view
    }

    /// Forgets all, and gives what was known.
    pub(super) fn clear(&self) -> Made {
        std::mem::take(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}
