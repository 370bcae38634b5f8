//! Assignments of a shell, read as what they are.

/// What else there can be in a file of settings.
pub(super) const ONLY_ASSIGNMENTS: &str = "only assignments like NAME=VALUE can stand here";

/// Whether this is a file of variables rather than one of rules: the first line that says anything decides.
#[must_use]
pub fn holds_variables(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    first.is_some_and(|line| {
        let line = line.strip_prefix("export").map_or(line, str::trim_start);
        line.split_once('=').is_some_and(|(name, _)| is_name(name))
    })
}

fn is_name(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(word)
}

/// `NAME=VALUE`, with the line it begins on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) line: u32,
    pub(super) name: String,
    pub(super) value: String,
}

/// The assignments of a text, as a shell would make them, or the line that is wrong and why. What only a shell can do
/// (expansions, commands) is an error, not something to guess at.
///
/// Rules are left out, and the line of the first one is given: tutorials save them to `/etc/sysconfig/ipvsadm-config`.
pub(super) fn assignments(text: &str) -> Result<(Vec<Assignment>, Option<u32>), (u32, String)> {
    let mut reader = Reader { rest: text.chars().peekable(), line: 1 };
    let (mut found, mut rules) = (Vec::new(), None);
    // Whether this line has an assignment already.
    let mut begun = false;
    loop {
        reader.skip_blanks();
        let line = reader.line;
        match reader.rest.peek() {
            None => return Ok((found, rules)),
            Some('\n') => {
                begun = false;
                reader.next();
            }
            Some(';') => drop(reader.next()),
            Some('#') => reader.skip_line(),
            Some('-') if !begun => {
                rules.get_or_insert(line);
                reader.skip_line();
            }
            Some(_) => {
                let name = reader.name();
                let followed = reader.rest.peek().copied();
                if name == "export" && followed.is_some_and(is_blank) {
                    continue;
                }
                if name == "ipvsadm" && followed.is_some_and(is_blank) && !begun {
                    rules.get_or_insert(line);
                    reader.skip_line();
                    continue;
                }
                if !is_name(&name) || followed != Some('=') {
                    return Err((line, ONLY_ASSIGNMENTS.to_owned()));
                }
                reader.next();
                begun = true;
                found.push(Assignment { line, name, value: reader.value()? });
            }
        }
    }
}

/// A carriage return before the end of a line is nothing that anybody means.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}

struct Reader<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    line: u32,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += u32::from(next == Some('\n'));
        next
    }

    /// Blanks, and line ends after a backslash.
    fn skip_blanks(&mut self) {
        loop {
            while self.rest.next_if(|c| is_blank(*c)).is_some() {}
            let mut ahead = self.rest.clone();
            if (ahead.next(), ahead.next()) != (Some('\\'), Some('\n')) {
                return;
            }
            self.next();
            self.next();
        }
    }

    /// Up to the end of the line.
    fn skip_line(&mut self) {
        while self.rest.next_if(|c| *c != '\n').is_some() {}
    }

    fn name(&mut self) -> String {
        std::iter::from_fn(|| self.rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_')).collect()
    }

    fn value(&mut self) -> Result<String, (u32, String)> {
        let mut value = String::new();
        while let Some(&c) = self.rest.peek() {
            let line = self.line;
            match c {
                '\n' | ';' => break,
                c if is_blank(c) => break,
                '\'' => self.single_quoted(&mut value)?,
                '"' => self.double_quoted(&mut value)?,
                '\\' => {
                    self.next();
                    value.extend(self.next().filter(|c| *c != '\n'));
                }
                '$' | '`' => {
                    return Err((
                        line,
                        format!(
                            "`{c}': nothing is expanded or run here; for the character itself, put it in single quotes"
                        ),
                    ));
                }
                '&' | '|' | '<' | '>' | '(' | ')' => {
                    return Err((line, format!("`{c}' needs quotes around it")));
                }
                _ => value.extend(self.next()),
            }
        }
        Ok(value)
    }

    fn single_quoted(&mut self, value: &mut String) -> Result<(), (u32, String)> {
        let line = self.line;
        self.next();
        loop {
            match self.next() {
                Some('\'') => return Ok(()),
                Some(c) => value.push(c),
                None => return Err((line, "a quote (') that is not closed".to_owned())),
            }
        }
    }

    fn double_quoted(&mut self, value: &mut String) -> Result<(), (u32, String)> {
        let begin = self.line;
        self.next();
        loop {
            let line = self.line;
            match self.next() {
                Some('"') => return Ok(()),
                Some('\\') => match self.next() {
                    Some('\n') => {}
                    Some(c @ ('"' | '\\' | '$' | '`')) => value.push(c),
                    Some(c) => value.extend(['\\', c]),
                    None => {}
                },
                Some(c @ ('$' | '`')) => {
                    return Err((
                        line,
                        format!(
                            "`{c}': nothing is expanded or run here; for the character itself, put it in single quotes"
                        ),
                    ));
                }
                Some(c) => value.push(c),
                None => return Err((begin, "a quote (\") that is not closed".to_owned())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(u32, String, String)> {
        assignments(text).unwrap().0.into_iter().map(|found| (found.line, found.name, found.value)).collect()
    }

    fn one(text: &str) -> String {
        let values = values(text);
        assert_eq!(values.len(), 1, "{values:?}");
        values[0].2.clone()
    }

    #[test]
    fn values_are_quoted_as_in_a_shell() {
        assert_eq!(one("A=b"), "b");
        assert_eq!(one("A="), "");
        assert_eq!(one("A=\"b c\"'d  e'f\\ g # h"), "b cd  ef g");
        assert_eq!(one("A=b#c"), "b#c");
        assert_eq!(one("A='a\"$`\\b'"), "a\"$`\\b");
        assert_eq!(one("A=\"\\\"\\$\\`\\\\\\n\""), "\"$`\\\\n");
        assert_eq!(one("  export \t A=b\r\n"), "b");
        assert_eq!(one("A=b\\\nc"), "bc");
        assert_eq!(one("A=\"b\\\nc\nd\""), "bc\nd");
    }

    #[test]
    fn assignments_know_their_lines() {
        let text = "# first\n\nA=1; B=2\n\\\n  C='x\ny' D=\"\" # e\n;E=\\\n5\nexport F=6 G=7";
        let expected =
            [(3, "A", "1"), (3, "B", "2"), (5, "C", "x\ny"), (6, "D", ""), (7, "E", "5"), (9, "F", "6"), (9, "G", "7")];
        assert_eq!(values(text), expected.map(|(line, name, value)| (line, name.to_owned(), value.to_owned())));
    }

    #[test]
    fn rules_are_left_out_and_the_first_is_noted() {
        let text = "# mine\nA=1\n\n -A -t 1.2.3.4:80\nipvsadm -C # 'all\nB=2\n--set 1 2 3";
        let (found, rules) = assignments(text).unwrap();
        let found: Vec<_> = found.iter().map(|found| (found.line, found.name.as_str(), found.value.as_str())).collect();
        assert_eq!((&found[..], rules), (&[(2, "A", "1"), (6, "B", "2")][..], Some(4)));
        assert_eq!(assignments("A=1\n").unwrap().1, None);
    }

    #[test]
    fn what_only_a_shell_can_do_is_an_error_with_its_line() {
        for (text, line) in [
            ("\nA=$(touch /tmp/x)", 2),
            ("A=`id`", 1),
            ("A=1\nB=\"x\ny$HOME\"", 3),
            (". /etc/rc.conf", 1),
            ("if true; then A=1; fi", 1),
            ("A = 1", 1),
            ("A='1\n\n", 1),
            ("A=1\nB=\"", 2),
            ("A=1 & B=2", 1),
            ("A=a|b", 1),
            ("A=1 -A -t 1.2.3.4:80", 1),
            ("ipvsadm", 1),
            ("A+=1", 1),
        ] {
            let failed = assignments(text).map_err(|(line, _)| line);
            assert_eq!(failed, Err(line), "{text:?}");
        }
    }
}
