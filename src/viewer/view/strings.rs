//! A table of texts: each is sent once, however many spans have it.

use std::collections::HashMap;

/// Texts in the order of their first use.
#[derive(Debug, Default)]
pub(super) struct Strings {
    texts: Vec<String>,
    places: HashMap<String, u32>,
}

impl Strings {
    /// The text's place in the table.
    pub(super) fn place(&mut self, text: &str) -> u32 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.to_owned());
        self.places.insert(text.to_owned(), place);
        place
    }

    pub(super) fn into_texts(self) -> Vec<String> {
        self.texts
    }
}
