"""How the page looks: on a screen, light or dark, on a telephone, and on paper.

Pure. One palette for light and dark: white letters are legible on each of its colours (4.5 : 1 or more, WCAG 1.4.3).
"""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{--paper:#fff;--ink:#1b2430;--soft:#5a6675;--line:#dfe4ea;--bed:#f2f4f7;--stripe:#b9c2cd;--bad:#b3261e;--bad-ink:#b3261e;
--bad-soft:#fbeae8;--add:#e6f4ea;--del:#fbeae8;--waits:#8a5a00;--mark:#38424f;--tint:.22;
--h1:#2f66b1;--h2:#2c7a4b;--h3:#8a4fa3;--h4:#a3541b;--h5:#0f7684;--h6:#b0406f;--h7:#6b6a1d;--h8:#5a5fb8}
@media screen and (prefers-color-scheme:dark){:root{--paper:#12161c;--ink:#e6eaf0;--soft:#9aa6b5;--line:#2b333e;
--bed:#1a2028;--stripe:#465160;--bad:#c63f35;--bad-ink:#f28b82;--bad-soft:#3a1d1d;--add:#16301f;--del:#3a1d1d;--waits:#9a6a14;
--mark:#56616f;--tint:.42;--h1:#3a72bf;--h2:#2f7d4f;--h3:#9158ac;--h4:#a9591f;--h5:#147c8b;--h6:#b84877;--h7:#737224;
--h8:#6469c4}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;color-scheme:light dark}
body{margin:0 auto;max-width:1120px;padding:28px 24px 48px;background:var(--paper);color:var(--ink);
font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:15px;font-weight:600;margin:0;color:var(--soft)}
.headline{font-size:26px;line-height:1.25;font-weight:650;letter-spacing:-.01em;margin:4px 0 6px}
.period{color:var(--soft);margin:0 0 20px}
h2{font-size:17px;margin:36px 0 8px}
p{margin:0 0 8px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px 20px;margin:0 0 24px;
padding:0;list-style:none}
.figures b{display:block;font-size:24px;line-height:1.2;font-weight:650;font-variant-numeric:tabular-nums}
.figures span{color:var(--soft);font-size:13px;line-height:1.35;display:block}
.figures .bad b{color:var(--bad-ink)}
svg{overflow:visible}
.timeline{display:block}
.timeline text{font-size:12px;fill:var(--ink)}
.timeline .name,.timeline .summary{paint-order:stroke;stroke:var(--paper);stroke-width:5;stroke-linejoin:round}
.timeline .name{font-weight:650}
.timeline .summary,.timeline .time{fill:var(--soft)}
.timeline .time.day{fill:var(--ink);font-weight:600}
.start{text-anchor:start}.middle{text-anchor:middle}.end{text-anchor:end}
.bed{fill:var(--bed)}
.grid{stroke:var(--line)}
.grid.day{stroke:var(--stripe)}
.move{stroke:var(--stripe);stroke-dasharray:2 3}
.axis{stroke:var(--stripe)}
svg.bar{overflow:hidden}svg.bar.thin{overflow:visible}
.gap{stroke:var(--paper);stroke-width:3}.thin line{stroke-width:2}
.mark .block{stroke:var(--paper);stroke-width:1.5}
.timeline .label,.timeline .number{fill:#fff;font-weight:600}
.timeline .number{font-size:10.5px;font-variant-numeric:tabular-nums}
.ground .bar .block{fill-opacity:var(--tint)}.ground .unknown .block,.ground .none .block{fill-opacity:1}
.ground .bar .label{fill:var(--ink)}
.stripes{stroke:var(--stripe);stroke-width:1.2}
.under{fill:var(--bed)}
.unknown .block{fill:url(#unknown)}
.timeline .unknown .label,.timeline .none .label{fill:var(--soft);font-weight:400;font-style:italic}
.none .block{fill:var(--bed)}
.swatch.none .block{stroke:var(--stripe)}
.unknown line.thin,.none line.thin{stroke:var(--stripe)}
.others .block{fill:var(--paper);stroke:var(--mark)}.timeline .others .number{fill:var(--ink)}
.mixed .block{stroke:var(--ink);stroke-width:2;stroke-dasharray:3 2}
.swatch.ground .block{fill-opacity:var(--tint)}
.keys{display:flex;flex-wrap:wrap;gap:4px 20px;margin:12px 0 0;padding:0;list-style:none;font-size:13px}
.keys svg{margin-right:6px;vertical-align:-1px}
.keys span{color:var(--soft)}
table{border-collapse:collapse;width:100%;font-size:13px}
th{text-align:left;white-space:nowrap;font-weight:600;color:var(--soft);border-bottom:1px solid var(--stripe);
padding:4px 16px 4px 0}
td{vertical-align:top;border-bottom:1px solid var(--line);padding:5px 16px 5px 0}
td:last-child,th:last-child{padding-right:0}
.short{width:1%}
td.n,td.at,td.short{white-space:nowrap;font-variant-numeric:tabular-nums}
.n,.at,.by,.soft{color:var(--soft)}
a{color:inherit;text-decoration-color:var(--stripe)}
tr:target td{background:var(--bed)}
tr.day th{padding-top:18px;color:var(--ink);font-size:14px}
tr.warning .event,tr.err .event{color:var(--bad-ink)}
.event{font-weight:600;white-space:nowrap}
.diff,.where{margin:4px 0 2px;padding:0;list-style:none;
font:12px/1.5 ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace}
.diff li,.where li{padding:0 6px;white-space:pre-wrap}
.diff .add{background:var(--add)}.diff .del{background:var(--del)}
.chain{border-left:4px solid var(--h2);padding:2px 0 2px 14px;margin:8px 0}
.chain.bad{border-color:var(--bad)}
code{font:12px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace}
footer{margin-top:40px;color:var(--soft);font-size:12px}
@media (min-width:680.02px){.tight{display:none}}
@media (max-width:1060px){.timeline .screen{display:none}}
@media (max-width:900px){.figures{grid-template-columns:repeat(3,1fr)}}
@media (max-width:680px){.timeline .paper,.roomy{display:none}
body{padding:18px 16px 32px}.headline{font-size:21px}.figures{gap:12px 16px;grid-template-columns:1fr 1fr}
.figures b{font-size:20px}
table,tbody,tr,td{display:block}thead{display:none}
td{border:0;padding:0 0 1px}td:empty{display:none}tr{border-bottom:1px solid var(--line);padding:7px 0}
td[data-is]::before{content:attr(data-is) ": ";color:var(--soft)}
tr.day,tr.day th{display:block;border:0;padding-bottom:0}
td.n,td.at{display:inline-block;padding-right:10px}td.n::before,td.at::before{content:none}}
@page{size:A4;margin:14mm 12mm}
@media print{body{max-width:none;padding:0;font-size:10.5pt}*{-webkit-print-color-adjust:exact;
print-color-adjust:exact}
h2{break-after:avoid}tr,.figures,.keys li,.chain{break-inside:avoid}thead{display:table-header-group}
.picture{break-inside:avoid}a{text-decoration:none}}
"""


def _tones() -> str:
    hues = [f"h{number}" for number in range(1, 9)]
    colours = {**{hue: hue for hue in hues}, "plain": "mark", "mixed": "mark", "bad": "bad", "waits": "waits"}
    return "".join(
        f".{name} .block{{fill:var(--{colour})}}.{name} line.thin{{stroke:var(--{colour})}}\n"
        for name, colour in colours.items()
    )


WHOLE: Final = f"{STYLE.strip()}\n{_tones()}"
