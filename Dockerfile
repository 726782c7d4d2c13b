# The engine over NVIDIA's TensorRT image. It was never built: the image cannot be had where the project is made.
# docs/gpu.md says what is needed. Any later image with CUDA 13 will do.
FROM nvcr.io/nvidia/tensorrt:25.10-py3
WORKDIR /opt/degrade-engine
COPY . .
# TensorRT and nvcc are the image's. For ONNX Runtime on the GPU: '.[onnxruntime-cuda]'.
RUN pip install --no-cache-dir '.[cuda]' 'polygraphy>=0.49,<1'
WORKDIR /data
ENTRYPOINT ["degrade-engine"]
CMD ["doctor", "--all"]
