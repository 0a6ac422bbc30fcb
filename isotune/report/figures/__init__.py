"""The figures of a report, drawn by matplotlib and written as SVG, the same bytes for the same results.

- `section.draw(finding, folder)`: every figure of a section, each with its caption;
- `scatter` (accuracy against speed), `spread` (every seed), `forest` (differences with their intervals) and
  `components` (variance by source): one kind of figure each, `figure(...)` makes it;
- `defaults.draw(over, folder)`: what single defaults cost, over all sections;
- `labels`: places labels so that they cover nothing; `names`: what rows are called, short and never two alike;
- `style`: colours, markers, fonts, and how a figure is saved; `dark`: what becomes of its colours on a dark ground.

Other packages that draw import `style` and `names` alone, so that all figures look alike; the first is the one to
change for another look.
matplotlib is imported with these modules, so import them where a figure is drawn, not at the top of a module that the
command line imports.
"""
