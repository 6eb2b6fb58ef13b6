# The app for a machine of your own: docker build -t molorec . && docker run -p 7860:7860 -v molorec:/home/molorec/data molorec
# On a machine with a GPU add --gpus all to `docker run`. Without one, PyTorch's CPU build saves several GB: give pip's
# arguments for it, as PyTorch's own site says, in --build-arg TORCH="torch==2.13.0 …".
FROM python:3.12-slim

ARG TORCH="torch==2.13.0"
RUN useradd --create-home --uid 1000 molorec
USER molorec
# made here, so that they are this user's: a WORKDIR that is not there yet may become root's
RUN mkdir -p /home/molorec/app /home/molorec/data
WORKDIR /home/molorec/app
ENV PATH=/home/molorec/.local/bin:$PATH MOLOREC_HOME=/home/molorec/data GRADIO_SERVER_NAME=0.0.0.0 PYTHONUNBUFFERED=1

# what changes least comes first
RUN pip install --no-cache-dir --user ${TORCH}
COPY --chown=molorec requirements.txt ./
RUN pip install --no-cache-dir --user -r requirements.txt
COPY --chown=molorec pyproject.toml README.md app.py ./
COPY --chown=molorec molorec molorec
COPY --chown=molorec training_scripts training_scripts
COPY --chown=molorec assets assets
RUN pip install --no-cache-dir --user --no-deps -e .

VOLUME /home/molorec/data
EXPOSE 7860
HEALTHCHECK --start-period=5m --interval=30s --timeout=5s \
  CMD python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/health', timeout=4)"
CMD ["python", "app.py"]
