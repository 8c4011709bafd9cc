//! Tables that come in numbers: `[[name]]` and `[name.X]`.

use toml::de::DeValue;

use super::table::Reader;

impl<'a> Reader<'a> {
    /// The entries of `[[name]]`, labelled by `noun` and the first of `titles` that they have; when
    /// there is none, one that is not written.
    pub(in crate::config) fn entries(
        &self,
        name: &'static str,
        noun: &str,
        titles: &[&str],
    ) -> Vec<Self> {
        self.declared.borrow_mut().push(name);
        let mut entries = Vec::new();
        if let Some(item) = self.item(name) {
            let wrong = || {
                let help = Some(format!("write [[{name}]], with two brackets, before each"));
                self.cx.error(
                    item.span(),
                    format!("{name}: is not a list of tables"),
                    help,
                );
            };
            match item.get_ref() {
                DeValue::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        let Some(table) = item.get_ref().as_table() else {
                            wrong();
                            continue;
                        };
                        let title = titles.iter().find_map(|title| {
                            table
                                .get(*title)?
                                .get_ref()
                                .as_str()
                                .filter(|title| !title.is_empty())
                        });
                        let title = title.map_or_else(
                            || format!("{noun} #{}: ", index + 1),
                            |title| format!("{noun} `{title}`: "),
                        );
                        entries.push(Self::new(
                            self.cx,
                            Some(table),
                            item.span(),
                            name.to_owned(),
                            title,
                        ));
                    }
                }
                _ => wrong(),
            }
        }
        if entries.is_empty() {
            entries.push(Self::new(
                self.cx,
                None,
                0..0,
                name.to_owned(),
                format!("{noun}: "),
            ));
        }
        for (index, entry) in entries.iter_mut().enumerate() {
            entry.listed = index == 0;
        }
        entries
    }

    /// The tables `[name.X]` by their names, labelled by `noun`; when there is none, one that is
    /// not written.
    pub(in crate::config) fn named(&self, name: &'static str, noun: &str) -> Vec<(String, Self)> {
        self.declared.borrow_mut().push(name);
        let path = format!("{name}.NAME");
        let mut named = Vec::new();
        if let Some(item) = self.item(name) {
            match item.get_ref() {
                DeValue::Table(tables) => {
                    for (key, item) in tables.iter() {
                        let key = key.get_ref().to_string();
                        let Some(table) = item.get_ref().as_table() else {
                            let help = Some(format!("write [{name}.{key}] and its keys below"));
                            self.cx.error(
                                item.span(),
                                format!("{name}.{key}: is not a table"),
                                help,
                            );
                            continue;
                        };
                        let label = format!("{noun} `{key}`: ");
                        named.push((
                            key,
                            Self::new(self.cx, Some(table), item.span(), path.clone(), label),
                        ));
                    }
                }
                _ => {
                    let help = Some(format!("write [{name}.NAME], with a name of your choice"));
                    self.cx.error(
                        item.span(),
                        format!("{name}: is not a table of tables"),
                        help,
                    );
                }
            }
        }
        if named.is_empty() {
            named.push((
                String::new(),
                Self::new(self.cx, None, 0..0, path, format!("{noun}: ")),
            ));
        }
        for (index, (_, entry)) in named.iter_mut().enumerate() {
            entry.listed = index == 0;
        }
        named
    }
}
