import unittest

from activity import COLS, ROWS, Activity


class ActivityTest(unittest.TestCase):
    def test_half_a_picture_that_changes_is_half_of_it(self):
        activity = Activity("{}")
        first = activity.look(b"")
        self.assertEqual(first["{{name}}.state"], "still")
        second = activity.look(bytes([0, 40]) * (COLS * ROWS // 2))
        self.assertEqual(second, {"{{name}}.share": "0.500", "{{name}}.state": "moving"})

    def test_what_can_not_be_is_refused_with_its_key(self):
        for config, words in [
            ('{"moving_from": 2}', "moving_from: must be 0 to 1"),
            ('{"threshold": true}', "threshold: must be 1 to 255"),
            ('{"speed": 1}', "speed: unknown"),
        ]:
            with self.assertRaisesRegex(ValueError, words):
                Activity(config)


if __name__ == "__main__":
    unittest.main()
