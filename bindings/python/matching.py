"""Whether what came is what a transcript expects: see tests/contract/README.md."""


def name_of(value):
    return value if isinstance(value, str) and value.startswith("$") else None


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Bindings:
    """What names stand for."""

    def __init__(self):
        self.names = {}

    def bind(self, name, value):
        self.names[f"${name}"] = value

    def fill(self, template):
        """What is sent: every name replaced by what it stands for."""
        if isinstance(template, list):
            return [self.fill(item) for item in template]
        if isinstance(template, dict):
            return {key: self.fill(member) for key, member in template.items()}
        if name_of(template) is None:
            return template
        if template not in self.names:
            raise AssertionError(f"{template} stands for nothing yet")
        return self.names[template]

    def matches(self, expected, actual):
        """Whether `actual` is what is expected; names that stand for nothing yet are bound if so, and none otherwise."""
        before = dict(self.names)
        if self._fits(expected, actual):
            return True
        self.names = before
        return False

    def take_fitting(self, expected, actual):
        """Takes the first of `expected` that fits out of it."""
        for at, one in enumerate(expected):
            if self.matches(one, actual):
                del expected[at]
                return True
        return False

    def _fits(self, expected, actual):
        if name_of(expected) is not None:
            return self._fits_name(expected, actual)
        if isinstance(expected, list):
            return isinstance(actual, list) and len(expected) == len(actual) and all(map(self._fits, expected, actual))
        if isinstance(expected, dict):
            return self._fits_object(expected, actual)
        # `True` is no 1 in JSON.
        return isinstance(expected, bool) == isinstance(actual, bool) and expected == actual

    def _fits_object(self, expected, actual):
        if isinstance(actual, list):
            left = list(expected.get("$unordered", []))
            return len(left) == len(actual) and all(self.take_fitting(left, one) for one in actual)
        if not isinstance(actual, dict):
            return False
        named = {key: one for key, one in expected.items() if key != "$more"}
        if "$more" not in expected and len(named) != len(actual):
            return False
        return all(key in actual and self._fits(one, actual[key]) for key, one in named.items())

    def _fits_name(self, name, actual):
        if name == "$any":
            return True
        if name == "$text":
            return isinstance(actual, str) and actual != ""
        if name == "$number":
            return is_number(actual)
        return self.names.setdefault(name, actual) == actual
