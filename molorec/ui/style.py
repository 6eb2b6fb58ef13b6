"""Theme and CSS. Colours come from Gradio's variables, so light and dark both work."""

import gradio as gr

# system fonts: nothing is fetched, and the page looks the same offline
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
THEME = gr.themes.Soft(primary_hue="teal", neutral_hue="slate", font=FONTS, font_mono=["ui-monospace", "monospace"]).set(
    # Gradio's own grey is too pale to read: these have a contrast above 4.5 to 1
    body_text_color_subdued="#566274", body_text_color_subdued_dark="#a3b1c6",
    # labels as plain text: a dozen coloured chips would outshine the ranking
    block_title_background_fill="transparent", block_title_background_fill_dark="transparent", block_title_padding="0",
    block_title_text_color="*body_text_color", block_title_text_color_dark="*body_text_color",
    # Gradio's edges of what one can fill in or tick are nearly white on white: 3 to 1 at least
    input_border_color="*neutral_500", input_border_width="1px", checkbox_border_color="*neutral_500",
    checkbox_label_border_color="*neutral_500", input_border_color_dark="*neutral_500",
    # what has the keyboard is to stand out: Gradio's own edge of it is paler than that of the others
    input_border_color_focus="#14b8a6", input_border_color_focus_dark="#14b8a6", input_shadow_focus="0 0 0 1px #14b8a6",
    input_shadow_focus_dark="0 0 0 1px #14b8a6",
    checkbox_border_color_dark="*neutral_400", checkbox_label_border_color_dark="*neutral_500",
    # white on Gradio's teal has 2.5 to 1; on this one 5.5
    **dict.fromkeys(("button_primary_background_fill", "button_primary_background_fill_dark",
                     "checkbox_label_background_fill_selected", "checkbox_label_background_fill_selected_dark"), "*primary_700"),
    **dict.fromkeys(("button_primary_background_fill_hover", "button_primary_background_fill_hover_dark"), "*primary_800"),
    color_accent="*primary_700", block_label_text_color="*primary_700",
    # Gradio draws a button that cannot be pressed as one that is pointed at: not in the colour of the one to press
    button_secondary_background_fill_hover_dark="*neutral_500")

CSS = """
.html-container { padding: 0; } /* else words stand further in than headings and buttons, and empty ones make gaps */
.block:has(> .html-container > div:only-child:empty) { display: none; }
.modebar { display: none !important; } /* on a touch screen it always covers what is below it */
.ml-main { display: grid !important; align-items: start; gap: 1.2rem; grid-template-columns: minmax(0, 1fr);
  grid-template-areas: "who" "mix" "ranked" "tune"; }
.ml-who { grid-area: who; } .ml-mix { grid-area: mix; } .ml-ranked { grid-area: ranked; } .ml-tune { grid-area: tune; }
@media (max-width: 699px) { /* one above the other: the slider stays in sight while the ranking below it changes */
  .ml-main { display: flex !important; flex-direction: column; align-items: stretch; flex-wrap: nowrap; }
  .ml-mix, .ml-mix > .column:not(.hide) { display: contents !important; }
  .ml-mix > :not(.column), .ml-mix > .column > * { order: 1; flex: none; }
  .ml-ranked { order: 2; } .ml-tune { order: 3; }
  .form:has(> .ml-lam) { position: sticky; top: 0; z-index: 60; background: var(--body-background-fill);
    box-shadow: 0 4px 6px -4px rgb(0 0 0 / .35); }
  .form:has(> .ml-lam)::after { content: var(--ml-lam, "0.50"); position: absolute; top: .7em; right: .9em;
    font-variant-numeric: tabular-nums; } /* "λ as a number" may be out of sight */
  .ml-lam [data-testid=block-info] { padding-right: 3em; }
}
@media (min-width: 700px) {
  .ml-main { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); grid-template-rows: auto auto 1fr;
    grid-template-areas: "who mix" "who ranked" "tune ranked"; }
}
@media (min-width: 1050px) {
  .ml-main { grid-template-columns: minmax(0, 3fr) minmax(0, 3fr) minmax(0, 5fr); grid-template-rows: auto 1fr;
    grid-template-areas: "who mix ranked" "who tune ranked"; }
}
.ml-list { margin: 0; padding-left: 3em; line-height: 1.55; max-height: 26rem; overflow-y: auto; }
.ml-dim { color: var(--body-text-color-subdued); margin: .2rem 0; font-size: .9em; }
.ml-ranking { list-style: none; margin: 0; padding: 0; max-height: 40rem; overflow-y: auto; }
.ml-follows .wrap { display: none; }
.ml-follows .html-container.pending { opacity: .5; transition: opacity .2s .4s; } /* nothing flickers while λ is dragged */
.ml-row { display: grid; grid-template-columns: 2em 3em minmax(0, 1fr) 22% 4.2em; gap: .5em; align-items: center;
  padding: .28em .35em; border-bottom: 1px solid var(--border-color-primary); }
.ml-rank { text-align: right; color: var(--body-text-color-subdued); font-variant-numeric: tabular-nums; }
.ml-move { text-align: center; font-size: .82em; color: var(--body-text-color-subdued); }
.ml-up { color: #0f766e; } .dark .ml-up { color: #5eead4; }
.ml-down { color: #9a3412; } .dark .ml-down { color: #fcd34d; }
.ml-title { overflow-wrap: anywhere; }
.ml-track { height: .7em; border-radius: .35em; background: var(--border-color-primary); overflow: hidden; }
.ml-fill { display: block; height: 100%; background: #14b8a6; }
.ml-percent { text-align: right; font-variant-numeric: tabular-nums; }
.ml-is-truth { background: color-mix(in srgb, #f59e0b 18%, transparent); }
.ml-truth { margin-left: .6em; padding: 0 .5em; border-radius: .6em; font-size: .8em; background: #b45309; color: #fff;
  white-space: nowrap; }
input[role=combobox] { text-overflow: ellipsis; margin-right: 1.8em !important; } /* not under the arrow */
.ml-status { margin: .3rem 0; font-variant-numeric: tabular-nums; }
.ml-answer { margin: .4rem 0 .2rem; font-variant-numeric: tabular-nums; }
.ml-answer b { font-size: 1.25em; margin-right: .3em; }
.ml-progress { height: .45em; border-radius: .25em; background: var(--border-color-primary); overflow: hidden; }
.ml-progress span { display: block; height: 100%; background: #14b8a6; transition: width .2s; }
.ml-note { margin: .3rem 0; padding: .5em .8em; border-left: 3px solid #f59e0b; background: var(--background-fill-secondary); }
.ml-news { border-left-color: #14b8a6; }
.ml-code { font-size: .93em; white-space: normal; }
.ml-code span { display: inline-block; max-width: 100%; overflow-wrap: anywhere; } /* else "--items" could break after a dash */
.ml-reason { font-size: 1.08em; line-height: 1.5; }
.ml-measured { line-height: 1.5; font-variant-numeric: tabular-nums; }
.ml-lam .tab-like-container { display: none !important; } /* "λ as a number" stands below, and takes any number of digits */
input[type=range]::-webkit-slider-thumb { border: 1px solid #0f766e; }
input[type=range]::-moz-range-thumb { border: 1px solid #0f766e; }
.wrap:has(> .wrap-inner) { border-color: #64748b !important; } /* a dropdown's edge is not the theme's to choose */
.wrap:has(> .wrap-inner):focus-within { outline: 2px solid #14b8a6; }
input[type=range]:focus-visible { outline: 2px solid #14b8a6; outline-offset: 4px; }
label:has(> :is(input[type=radio], input[type=checkbox]):focus-visible) { outline: 2px solid #14b8a6; outline-offset: 2px; }
/* figures are drawn in a grey that shows on white and on black; their text is to be read */
.js-plotly-plot .main-svg g:not(.hovertext, .axistext) > text { fill: var(--body-text-color) !important; }
.ml-ends { display: flex; justify-content: space-between; font-size: .9em; color: var(--body-text-color-subdued); }
.ml-edit { margin: 0; padding-left: 2.2em; max-height: 22rem; overflow-y: auto; }
.ml-found { padding-left: 1.2em; max-height: 18rem; }
.ml-edit li { padding: .15em 0; }
.ml-edit-row { display: flex; align-items: center; gap: .4em; }
.ml-edit-title { overflow-wrap: anywhere; flex: 1 1 auto; min-width: 0; }
.ml-edit-buttons { flex: none; display: flex; flex-wrap: wrap; justify-content: flex-end; gap: .15em; }
.ml-found .ml-edit-row { flex-wrap: wrap; }
.ml-edit button, .ml-edit-all { margin: 0; padding: .1em .5em; border: 1px solid var(--border-color-primary);
  border-radius: .35em; font-size: .85em;
  background: var(--background-fill-secondary); color: var(--body-text-color); cursor: pointer; }
.ml-edit-all { margin: .4em 0 .2em 2.2em; }
:is(.ml-edit button, .ml-edit-all):is(:hover, :focus-visible) { border-color: #14b8a6; }
.ml-facts { font-size: .8em; overflow-wrap: anywhere; }
@media (max-width: 640px) {
  .ml-head { flex-direction: column; }
  .ml-row { grid-template-columns: 1.6em 2.4em minmax(0, 1fr) 3.8em; row-gap: .15em; }
  .ml-track { grid-column: 3 / 5; grid-row: 2; height: .35em; } /* under its title */
}
"""

# Gradio puts the above inside of its own container. What follows stands in the page's head as it is, for what is around that.
HEAD = """<style>
@media (max-width: 699px) { .gradio-container { overflow: clip !important; } } /* nothing sticks inside of what is "hidden" */
.ml-presenter :is(.ml-quiet, .ml-facts, footer, .ml-tabs, .ml-edit button, .ml-edit-all, .ml-badge) { display: none !important; }
.ml-presenter :is(.ml-head p, button:disabled) { display: none !important; }
.ml-presenter .ml-ranking { max-height: max(20rem, 62vh) !important; } /* so that the reason below it is in sight */
.ml-presenter .ml-lam input[type=range] { height: 1rem; }
.ml-presenter .ml-lam input[type=range]::-webkit-slider-thumb { transform: scale(1.8); }
.ml-presenter .ml-lam input[type=range]::-moz-range-thumb { transform: scale(1.8); }
@media (max-width: 699px) { .ml-presenter .ml-list { max-height: 8rem !important; } } /* slider and ranking are what is shown */
@media (min-width: 700px) { /* everything is larger by the theme's own sizes, also what Gradio draws */
  :root:has(body.ml-presenter) { --text-xs: 14px; --text-sm: 16px; --text-md: 19px; --text-lg: 22px; --text-xl: 26px;
    --body-text-size: 19px; --block-label-text-size: 16px; --block-title-text-size: 19px; --block-info-text-size: 16px;
    --button-small-text-size: 15px; --button-large-text-size: 19px; --input-text-size: 19px; --checkbox-label-text-size: 19px;
    --prose-text-size: 19px; }
  .ml-presenter { font-size: 19px; }
  .ml-presenter :is(.ml-row, .ml-list, .ml-edit) { font-size: 1.05em; }
  .ml-presenter :is(.ml-list, .ml-edit) { max-height: none !important; }
  .ml-presenter :is(.gradio-container, main) { max-width: none !important; }
  .ml-presenter main { padding-inline: 1.2rem !important; }
  .ml-presenter button { padding-inline: .4em !important; }
}
@media (min-width: 1050px) {
  .ml-presenter .ml-main { grid-template-columns: minmax(0, 2.4fr) minmax(0, 3fr) minmax(0, 6fr) !important; }
  .ml-presenter .ml-row { grid-template-columns: 1.6em 2.4em minmax(0, 1fr) 16% 3.8em !important; }
}
</style>"""
