"""Theme and CSS. Colours come from Gradio's variables, so light and dark both work."""

import gradio as gr

# system fonts: nothing is fetched, and the page looks the same offline
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
THEME = gr.themes.Soft(primary_hue="teal", neutral_hue="slate", font=FONTS, font_mono=["ui-monospace", "monospace"]).set(
    # Gradio's own grey is too pale to read: these have a contrast above 4.5 to 1
    body_text_color_subdued="#566274", body_text_color_subdued_dark="#a3b1c6",
    # labels as plain text: a dozen coloured chips would outshine the ranking
    block_title_background_fill="transparent", block_title_background_fill_dark="transparent", block_title_padding="0",
    block_title_text_color="*body_text_color", block_title_text_color_dark="*body_text_color")

CSS = """
.ml-list { margin: 0; padding-left: 3em; line-height: 1.55; max-height: 26rem; overflow-y: auto; }
.ml-dim { color: var(--body-text-color-subdued); margin: .2rem 0; font-size: .9em; }
.ml-ranking { list-style: none; margin: 0; padding: 0; max-height: 40rem; overflow-y: auto; }
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
.ml-truth { margin-left: .6em; padding: 0 .5em; border-radius: .6em; font-size: .8em; background: #b45309; color: #fff; }
.ml-status { margin: .3rem 0; font-variant-numeric: tabular-nums; }
.ml-progress { height: .45em; border-radius: .25em; background: var(--border-color-primary); overflow: hidden; }
.ml-progress span { display: block; height: 100%; background: #14b8a6; transition: width .2s; }
.ml-note { margin: .3rem 0; padding: .5em .8em; border-left: 3px solid #f59e0b; background: var(--background-fill-secondary); }
.ml-code { font-size: .93em; white-space: normal; }
.ml-code span { display: inline-block; max-width: 100%; overflow-wrap: anywhere; } /* else "--items" could break after a dash */
.ml-reason { font-size: 1.08em; line-height: 1.5; }
.ml-measured { line-height: 1.5; font-variant-numeric: tabular-nums; }
.ml-lam input[type=number] { display: none; } /* "λ as a number" stands below, and takes any number of digits */
.ml-ends { display: flex; justify-content: space-between; font-size: .9em; color: var(--body-text-color-subdued); }
.ml-edit { margin: 0; padding-left: 2.2em; max-height: 22rem; overflow-y: auto; }
.ml-found { padding-left: 1.2em; max-height: 14rem; }
.ml-edit li { padding: .1em 0; }
.ml-edit-title { overflow-wrap: anywhere; margin-right: .4em; }
.ml-edit button { padding: .1em .5em; margin-left: .15em; border: 1px solid var(--border-color-primary); border-radius: .35em;
  font-size: .85em; background: var(--background-fill-secondary); color: var(--body-text-color); cursor: pointer; }
.ml-edit button:hover, .ml-edit button:focus-visible { border-color: #14b8a6; }
.ml-facts { font-size: .8em; overflow-wrap: anywhere; }
.ml-presenter { font-size: 1.25em; }
.ml-presenter .ml-who, .ml-presenter .ml-facts, .ml-presenter footer, .ml-presenter .ml-tabs { display: none; }
.ml-presenter .ml-row { font-size: 1.3em; }
@media (max-width: 640px) {
  .ml-head { flex-direction: column; }
  .ml-row { grid-template-columns: 1.6em 2.4em minmax(0, 1fr) 3.8em; }
  .ml-track { display: none; }
}
"""
